"""Checkpoints: what loads, what is refused, and what the refusal says."""

import argparse
import datetime
import io
import os
import pickle
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from selection_job.encoder.architecture import build_model, describe_weights
from selection_job.encoder.checkpoints import apply_checkpoint, load_plainly, read_checkpoint, write_checkpoint
from selection_job.encoder.foreign_values import ForeignValue
from selection_job.encoder.loading import load_encoder, load_start
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


WRAPPED = {
    "DataParallel": lambda key: f"module.{key}",
    "DataParallel around Lightning": lambda key: f"module.model.{key}",
    "DataParallel in Lightning": lambda key: f"model.module.{key}",
    "DataParallel around the backbone alone": lambda key: key.replace("backbone.", "backbone.module."),
    "compiled": lambda key: f"_orig_mod.{key}",
    "compiled, then parallel, of an old lightly": (
        lambda key: f"module._orig_mod.model.{key.replace('backbone', 'features')}"
    ),
}


@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
def test_what_wraps_a_network_is_taken_off_its_keys(path, model, wrapped):
    torch.save({"state_dict": {wrapped(key): tensor for key, tensor in model.state_dict().items()}}, path)
    weights = read_checkpoint(path).weights
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in weights.items())


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_a_bare_state_dict_is_read(path, model, prefix):
    torch.save({f"{prefix}{key}": tensor for key, tensor in model.state_dict().items()}, path)
    found = read_checkpoint(path)
    assert found.settings == {}
    assert all(torch.equal(tensor, found.weights[key]) for key, tensor in model.state_dict().items())


def test_a_bare_state_dict_of_another_network_is_told_how_it_differs(path, model):
    torch.save({"layer1.0.conv1.weight": torch.zeros(3), "fc.bias": torch.zeros(3)}, path)
    assert "is not a network of lightly's command line" in refusal(path, model)


def test_two_networks_in_one_checkpoint_are_not_mixed(path, model):
    weights = model.state_dict()
    torch.save({"state_dict": {**weights, **{f"module.{key}": tensor for key, tensor in weights.items()}}}, path)
    assert "has backbone.0.weight twice, once as module.backbone.0.weight" in refusal(path)


HARMLESS = {
    "numpy scalars": [kind(1) for kind in (np.int64, np.float64, np.float32, np.bool_, np.uint8, np.complex64)],
    "a numpy date and a word": [np.datetime64("2026-11-30"), np.str_("adam")],
    "an array": np.arange(6.0).reshape(2, 3),
    "a namespace": argparse.Namespace(lr=0.1, path=Path("/x"), more=argparse.Namespace(steps=np.int64(3))),
    "a simple namespace": types.SimpleNamespace(lr=0.1),
    "a date": [datetime.datetime(2026, 11, 30), datetime.timedelta(days=1)],
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS)
def test_values_that_nobody_needs_refuse_no_checkpoint_and_are_not_made(path, model, value, legacy):
    content = {"state_dict": model.state_dict(), "hyper_parameters": value, "callbacks": {"best": {"score": value}}}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    apply_checkpoint(read_checkpoint(path), model)
    content = load_plainly(path, "some.ckpt")
    stack, kinds = [content["hyper_parameters"], content["callbacks"]], set()
    while stack:
        found = stack.pop()
        kinds.add(type(found))
        stack += found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    assert kinds <= {ForeignValue, dict, list}


@pytest.mark.parametrize("value", [argparse.Namespace, types.SimpleNamespace], ids=["argparse", "simple"])
def test_a_bomb_within_a_harmless_value_does_not_go_off(path, tmp_path, value):
    torch.save({"state_dict": {}, "hyper_parameters": value(lr=Bomb(tmp_path / "bombed"))}, path)
    assert "Python object, posix.mkdir, which could run code" in refusal(path)
    assert not (tmp_path / "bombed").exists()


def test_a_value_in_place_of_a_weight_is_refused(path):
    torch.save({"state_dict": {"model.backbone.0.weight": np.zeros(3)}}, path)
    assert "backbone.0.weight is a ForeignValue, expected a dense tensor" in refusal(path)


def test_without_a_projection_head_the_same_embeddings_are_made_and_it_is_said(path, model, tiny_config):
    write_checkpoint(path, model.state_dict(), settings={})
    whole = load_encoder(tiny_config(), checkpoint=path, key="a.ckpt")
    backbone = {key: tensor for key, tensor in model.state_dict().items() if key.startswith("backbone.")}
    write_checkpoint(path, backbone, settings={})
    encoder = load_encoder(tiny_config(), checkpoint=path, key="a.ckpt")
    assert encoder.fingerprint == whole.fingerprint
    assert encoder.notes == ("Checkpoint 'a.ckpt' has no projection head; embeddings come from the backbone.",)
    assert whole.notes == ()


def test_training_begins_with_a_new_head_where_the_checkpoint_has_none(path, model, tiny_config):
    backbone = {key: tensor for key, tensor in model.state_dict().items() if key.startswith("backbone.")}
    write_checkpoint(path, backbone, settings={})
    other = build_model(tiny_config().model, seed=2)
    head = {key: tensor.clone() for key, tensor in other.projection_head.state_dict().items()}
    notes = load_start(tiny_config(), other, checkpoint=path, zoo=None)
    assert notes == ("The checkpoint that training started from has no projection head; it began with a new one.",)
    assert all(torch.equal(tensor, backbone[f"backbone.{key}"]) for key, tensor in other.backbone.state_dict().items())
    assert all(torch.equal(tensor, head[key]) for key, tensor in other.projection_head.state_dict().items())


@pytest.mark.parametrize("missing", ["backbone.7.bias", "projection_head.layers.0.bias"])
def test_a_checkpoint_that_lacks_a_part_of_a_network_is_refused(path, model, missing):
    weights = {key: tensor for key, tensor in model.state_dict().items() if key != missing}
    write_checkpoint(path, weights, settings={})
    assert f"{missing} is missing, expected" in refusal(path, model)


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
