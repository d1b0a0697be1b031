"""Checkpoints: what loads, what is refused, and what the refusal says."""

import io
import os
import pickle
import zipfile

import pytest
import torch

from selection_job.encoder.architecture import build_model, describe_weights
from selection_job.encoder.checkpoints import apply_checkpoint, read_checkpoint, write_checkpoint
from selection_job.encoder.loading import load_encoder
from selection_job.errors import StorageUnavailable, UnusableData


class Bomb:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.fixture
def model(tiny_config):
    return build_model(tiny_config().model, seed=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.ckpt"


def refusal(path, model=None):
    with pytest.raises(UnusableData) as caught:
        checkpoint = read_checkpoint(path, name=".lightly/some.ckpt")
        apply_checkpoint(checkpoint, model)
    return str(caught.value)


def test_what_is_written_comes_back(model, path, tiny_config):
    write_checkpoint(path, model.state_dict(), settings={"input_size": 16, "notes": ["日本"]})
    other = build_model(tiny_config().model, seed=2)
    checkpoint = read_checkpoint(path)
    apply_checkpoint(checkpoint, other)
    assert checkpoint.settings == {"input_size": 16, "notes": ["日本"]}
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_equal_weights_make_equal_files(model, tmp_path):
    for name in ("a.ckpt", "b.ckpt"):
        write_checkpoint(tmp_path / name, model.state_dict(), settings={"input_size": 16})
    assert (tmp_path / "a.ckpt").read_bytes() == (tmp_path / "b.ckpt").read_bytes()


def test_a_disk_that_takes_no_more_is_a_passing_fault_and_leaves_no_part(model, tmp_path):
    (tmp_path / "a file").write_text("")
    with pytest.raises(StorageUnavailable, match="can't be written"):
        write_checkpoint(tmp_path / "a file" / "some.ckpt", model.state_dict(), settings={})
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_pickle_bomb_is_refused_and_does_not_go_off(path, tmp_path, legacy):
    victim = tmp_path / "went off"
    torch.save({"state_dict": {"x": Bomb(victim)}}, path, _use_new_zipfile_serialization=not legacy)
    message = refusal(path)
    assert "could run code" in message and ".lightly/some.ckpt" in message
    assert not victim.exists()


def test_a_bare_pickle_bomb_is_refused_and_does_not_go_off(path, tmp_path):
    victim = tmp_path / "went off"
    path.write_bytes(pickle.dumps(Bomb(victim)))
    assert "refused" in refusal(path) or "can't be read" in refusal(path)
    assert not victim.exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(path, model):
    buffer = io.BytesIO()
    torch.save({"state_dict": model.state_dict()}, buffer)
    with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
        packed.writestr("archive/data/99", bytes(10**7))
    assert "compressed" in refusal(path)


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused_by_its_shape(path, model):
    weights = {f"model.{key}": tensor for key, tensor in model.state_dict().items()}
    weights["model.backbone.7.bias"] = torch.zeros(1).expand(10**15)
    torch.save({"state_dict": weights}, path)
    assert "backbone.7.bias is 1000000000000000, expected 8" in refusal(path, model)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no checkpoint"),
        (b"not a checkpoint at all, but a line of text", "no checkpoint"),
        (b"PK\x03\x04" + bytes(100), "no checkpoint"),
        (bytes(1000), "no checkpoint"),
    ],
    ids=["empty", "text", "cut zip", "zeros"],
)
def test_a_file_that_is_no_checkpoint_is_refused(path, content, words):
    path.write_bytes(content)
    assert words in refusal(path)


def test_a_cut_off_checkpoint_is_refused(path, model):
    write_checkpoint(path, model.state_dict(), settings={})
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged" in refusal(path)


def test_a_missing_file_is_named(path):
    assert refusal(path) == "Checkpoint '.lightly/some.ckpt' does not exist."


def test_a_checkpoint_without_state_dict_says_what_it_holds(path):
    torch.save({"weights": torch.zeros(3)}, path)
    assert "no 'state_dict': it holds the keys ['weights']" in refusal(path)


@pytest.mark.parametrize("value", ["a string", torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex64)])
def test_weights_that_are_no_plain_tensors_are_refused(path, value):
    torch.save({"state_dict": {"model.backbone.0.weight": value}}, path)
    assert "backbone.0.weight is a" in refusal(path)


def test_weights_that_are_not_finite_are_refused(path, model):
    weights = model.state_dict()
    weights["backbone.1.weight"][0] = torch.nan
    write_checkpoint(path, weights, settings={})
    assert "backbone.1.weight is not finite" in refusal(path, model)


def test_another_network_is_refused_with_key_shape_and_what_to_set(path, model, tiny_config):
    other = build_model(tiny_config(model={"name": "resnet-18", "num_ftrs": 12}).model, seed=1)
    write_checkpoint(path, other.state_dict(), settings={})
    message = refusal(path, model)
    assert "backbone.3.1.bn1.bias is 8, expected missing" in message
    assert "It holds name resnet-18, width 0.125, num_ftrs 12, out_dim 16" in message
    assert "Set spec.lightlyConfig.model" in message


def test_foreign_weights_are_refused_without_guessing(path, model):
    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}}, path)
    assert "not a network of lightly's command line" in refusal(path, model)


@pytest.mark.parametrize("name", ["resnet-9", "resnet-18", "resnet-34", "resnet-50", "resnet-101", "resnet-152"])
def test_weights_tell_which_network_they_are(name, tiny_config):
    config = tiny_config(model={"name": name}).model
    assert describe_weights(build_model(config).state_dict()) == f"name {name}, width 0.125, num_ftrs 8, out_dim 16"


def test_names_of_old_lightly_versions_are_understood(path, model):
    old = {}
    for key, tensor in model.state_dict().items():
        old_key = key.replace("backbone.", "features.").replace("projection_head.layers.", "projection_head.")
        old[f"model.{old_key}"] = tensor
    old["criterion.memory_bank.bank"] = torch.zeros(4, 2)
    torch.save({"state_dict": old}, path)
    assert read_checkpoint(path).weights.keys() == model.state_dict().keys()


def test_building_leaves_the_callers_random_state_alone(tiny_config):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_model(tiny_config().model, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_loading_with_another_input_size_notes_it(path, model, tiny_config, caplog):
    write_checkpoint(path, model.state_dict(), settings={"input_size": 64})
    encoder = load_encoder(tiny_config(), checkpoint=path, key=".lightly/some.ckpt")
    assert "input_size 64 and embeds with 16" in encoder.notes[0]
    assert encoder.notes[0] in caplog.text
    assert encoder.source == "checkpoint .lightly/some.ckpt"


def test_the_fingerprint_follows_the_backbone_and_the_input_size_only(path, model, tiny_config):
    def fingerprint(weights, **changes):
        write_checkpoint(path, weights, settings={})
        return load_encoder(tiny_config(**changes), checkpoint=path).fingerprint

    weights = model.state_dict()
    first = fingerprint(weights)
    assert fingerprint({**weights, "projection_head.layers.0.bias": torch.ones(8)}) == first
    assert fingerprint({**weights, "backbone.7.bias": torch.ones(8)}) != first
    assert fingerprint(weights, collate={"input_size": 32}) != first
