"""What a folder must not be: each ends with a sentence that says what it is and what to do, before memory is taken."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from encoder_folders import CLIP_CONFIG, SIGLIP_CONFIG, write_json, write_open_clip, write_timm, write_tokenizer
from safetensors.torch import load_file, save_file

from selection_job.encoder.folders import input_size, tensor_files
from selection_job.encoder.folders.loading import load_encoder_folder, load_text_tower
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

pytestmark = pytest.mark.usefixtures("no_way_out")

FOLDER = ".lightly/encoders/tiny"
WEIGHTS = "model.safetensors"


@pytest.fixture
def refuse(tmp_path):
    """Return a function that loads the folder's encoder, or with texts its text tower, and returns the sentence."""

    def load(*texts):
        store, scratch = LocalStore(tmp_path), tmp_path / "scratch"
        with pytest.raises(UnusableData) as error:
            if texts:
                load_text_tower(store, FOLDER, scratch, image_fingerprint="0").embed(list(texts))
            else:
                load_encoder_folder(store, FOLDER, scratch)
        sentence = str(error.value)
        assert sentence.startswith(f"spec.workerConfig.encoder: {tmp_path}/{FOLDER}/: ")
        assert len(sentence) < 1000
        return sentence.partition("/: ")[2]

    return load


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound folder of timm's layout, written once."""
    folder = tmp_path_factory.mktemp("sound") / "tiny"
    write_timm(folder, "test_efficientnet")
    return folder


@pytest.fixture
def folder(tmp_path, sound):
    """A sound folder of timm's layout."""
    return Path(shutil.copytree(sound, tmp_path / FOLDER))


@pytest.fixture
def siglip(tmp_path):
    """A sound folder of open_clip's layout with a tokenizer of its own."""
    write_open_clip(tmp_path / FOLDER, SIGLIP_CONFIG)
    write_tokenizer(tmp_path / FOLDER)
    return tmp_path / FOLDER


def _write_header(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_folder_that_is_not_there(refuse):
    assert (
        "There is no such folder, or it is empty. Expected open_clip_config.json (open_clip), or config.json"
        in refuse()
    )


def test_a_folder_without_a_configuration_tells_what_it_holds(refuse, folder):
    (folder / "config.json").unlink()
    (folder / "notes.txt").write_text("x")
    assert "The folder holds 'model.safetensors', " in refuse()


def test_a_config_of_neither_layout(refuse, folder):
    write_json(folder / "config.json", {"foo": 1})
    assert refuse().startswith("config.json has neither 'architecture' nor 'model_type'. Expected")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "open_clip_pytorch_model.bin", "weights.pt", "x.pth"])
def test_a_pickle_is_refused_with_the_way_out(refuse, folder, name):
    (folder / WEIGHTS).rename(folder / name)
    assert refuse() == (
        f"has {name!r} and no *.safetensors. A pickle can hold code; take the repository's model.safetensors, or "
        "convert it: selection-job convert-encoder FOLDER"
    )


def test_a_missing_weights_file_never_gives_a_random_network(refuse, folder):
    (folder / WEIGHTS).unlink()
    assert refuse().startswith(
        "has no weights: expected model.safetensors, or model.safetensors.index.json and its files"
    )


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_pointer_of_git_lfs_is_recognised(refuse, folder, name):
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert refuse() == (
        f"{name} is a Git LFS pointer of 70 bytes, not the file itself: run git lfs pull and upload what it brings"
    )


def test_a_page_that_was_saved_instead_of_the_file_is_recognised(refuse, folder):
    (folder / WEIGHTS).write_text("<!DOCTYPE html><html><body>Log in</body></html>")
    assert refuse() == (
        "model.safetensors starts with '<!doctype html': a page was saved instead of the file. Repositories that ask "
        "for a consent (facebook/dinov3-… does) need a login to download from"
    )


@pytest.mark.parametrize(
    ("name", "size"), [(WEIGHTS, 17 * 1024**3), ("config.json", 1024**2 + 1)], ids=["weights", "config"]
)
def test_a_file_that_is_too_large_is_refused_by_its_listing(refuse, folder, tmp_path, name, size):
    with (folder / name).open("r+b") as file:
        file.truncate(size)  # sparse
    assert refuse().startswith(f"{name} has {size:,} bytes; the limit is ")
    assert not list((tmp_path / "scratch").rglob(name))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"architecture": "a", "architecture": "b"}', "'architecture' twice in one object"),
        ('{"architecture": NaN}', "holds NaN, which is no number in JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested too deeply"),
        ('{"architecture": ', "is no JSON: "),
        ("", "is empty"),
        ("[]", "holds no object at its top"),
        ('{"architecture": 3}', "architecture is not a name"),
    ],
    ids=["twice", "NaN", "open", "deep", "cut", "empty", "list", "number"],
)
def test_a_configuration_that_is_broken(refuse, folder, text, reason):
    (folder / "config.json").write_text(text)
    sentence = refuse()
    assert sentence.startswith("config.json")
    assert reason in sentence


def test_a_tensor_given_twice_is_refused_though_safetensors_takes_the_last(refuse, folder):
    entry = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'
    _write_header(folder / WEIGHTS, f'{{"a": {entry}, "a": {entry}}}'.encode(), b"\0" * 4)
    assert refuse() == "model.safetensors: its header has the key the string 'a' twice in one object"


def test_too_many_tensors_end_before_the_library_reads_them(refuse, folder):
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    _write_header(folder / WEIGHTS, {f"t{n}": empty for n in range(20_001)})
    assert refuse() == "model.safetensors has 20,001 tensors; the limit is 20,000"


def test_too_many_parameters(refuse, folder, monkeypatch):
    monkeypatch.setattr(tensor_files, "MOST_PARAMETERS", 10_000)
    assert "parameters; the limit is 10,000" in refuse()


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, "is not a sound safetensors file"),
        ({"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4]}, "is not a sound safetensors file"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "is not a sound safetensors file"),
        ({"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}, "is not a sound safetensors file"),
        ({"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}, "'a' has 100 dimensions; the limit is 8"),
        ({"dtype": "I8", "shape": [4], "data_offsets": [0, 4]}, "'a' holds I8; expected float32, float16 or bfloat16"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "does not fit test_efficientnet"),
    ],
    ids=["bytes", "huge", "negative", "type", "dimensions", "quantised", "another"],
)
def test_headers_that_lie(refuse, folder, entry, reason):
    _write_header(folder / WEIGHTS, {"a": entry}, b"\0" * 4)
    assert reason in refuse()


def test_a_file_that_was_cut_off(refuse, folder):
    content = (folder / WEIGHTS).read_bytes()
    for length in (0, 3, 8, 100, len(content) - 1):
        (folder / WEIGHTS).write_bytes(content[:length])
        assert "safetensors" in refuse()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named(refuse, folder, value):
    weights = load_file(folder / WEIGHTS)
    weights["conv_stem.weight"][0, 0, 0, 0] = value
    save_file(weights, folder / WEIGHTS)
    assert refuse() == (
        "model.safetensors: 'conv_stem.weight' is not finite everywhere: the file is damaged, or its training diverged"
    )


def test_a_tensor_of_another_type_does_not_fit(refuse, folder):
    weights = load_file(folder / WEIGHTS)
    weights["conv_stem.weight"] = weights["conv_stem.weight"].double()
    save_file(weights, folder / WEIGHTS)
    assert "'conv_stem.weight' is " in (sentence := refuse())
    assert "of float64, expected" in sentence


@pytest.mark.parametrize(
    ("part", "key", "value", "reason"),
    [
        ("vision_cfg", "layers", 1_000_000, "expected a whole number from 1 to 128, or a list of 4"),
        ("vision_cfg", "width", 10**9, "expected a whole number from 1 to 8,192"),
        ("vision_cfg", "image_size", 60_000, "expected a whole number from 16 to 1,024"),
        ("vision_cfg", "timm_model_name", "hf-hub:timm/x", "is not known to timm"),
        ("vision_cfg", "timm_model_pretrained", "yes", "expected true or false"),
        ("vision_cfg", "hub", "x", "has 'hub', which this version does not know"),
        ("vision_cfg", "output_tokens", True, "expected false"),
        ("text_cfg", "vocab_size", 10**9, "expected a whole number from 1 to 1,000,000"),
        ("text_cfg", "width", "64", "is the string '64', expected a whole number"),
        ("text_cfg", "trust_remote_code", True, "has 'trust_remote_code', which this version does not know"),
    ],
)
def test_every_key_of_open_clip_s_configuration_has_a_range(tmp_path, refuse, part, key, value, reason):
    config = json.loads(json.dumps(CLIP_CONFIG))
    write_open_clip(tmp_path / FOLDER, config)
    config["model_cfg"][part][key] = value
    write_json(tmp_path / FOLDER / "open_clip_config.json", config)
    sentence = refuse()
    assert sentence.startswith(f"open_clip_config.json: {'' if 'timm/x' in str(value) else 'model_cfg.'}{part}")
    assert reason in sentence


def test_nonsense_in_the_preprocessing_is_told_at_once_and_not_at_the_first_image(tmp_path, refuse):
    config = json.loads(json.dumps(CLIP_CONFIG))
    write_open_clip(tmp_path / FOLDER, config)
    for key, value in (("mean", "grey"), ("std", [0, 0, 0]), ("interpolation", "best"), ("resize_mode", "fit")):
        config["preprocess_cfg"] = {key: value}
        write_json(tmp_path / FOLDER / "open_clip_config.json", config)
        assert refuse().startswith(f"open_clip_config.json: preprocess_cfg.{key} is ")


def test_the_size_of_the_network_counts_and_not_that_of_the_preprocessing(tmp_path):
    config = json.loads(json.dumps(CLIP_CONFIG))
    config["preprocess_cfg"]["size"] = 999
    write_open_clip(tmp_path / FOLDER, config)
    encoder = load_encoder_folder(LocalStore(tmp_path), FOLDER, tmp_path / "scratch")
    assert encoder.preprocessing.size_px == 32


def test_a_tokenizer_whose_expression_makes_the_library_panic(refuse, siglip):
    document = json.loads((siglip / "tokenizer.json").read_text())
    document["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated", "invert": False}
    write_json(siglip / "tokenizer.json", document)
    assert refuse("a dog").startswith("tokenizer.json can't be ")
    document["pre_tokenizer"]["pattern"] = {"Regex": "(a|aa)+$"}
    write_json(siglip / "tokenizer.json", document)
    assert refuse("a" * 60 + " b").startswith("tokenizer.json can't be ")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pad_token": None}, "nothing says which token fills a text up"),
        ({"pad_token": "<none>"}, "nothing says which token fills a text up"),
        ({"eos_token": "<unk>"}, "does not end texts with the token that tokenizer_config.json names"),
    ],
)
def test_a_tokenizer_that_does_not_go_with_its_configuration(refuse, siglip, change, reason):
    config = json.loads((siglip / "tokenizer_config.json").read_text())
    write_json(siglip / "tokenizer_config.json", {**config, **change})
    assert reason in refuse("a dog")


def test_a_tokenizer_of_another_vocabulary_is_told_before_the_table_is_asked(refuse, siglip):
    document = json.loads((siglip / "tokenizer.json").read_text())
    document["model"]["vocab"]["dog"] = 4000
    write_json(siglip / "tokenizer.json", document)
    assert "makes the token 4,000, and the text tower knows 60" in refuse("a dog")


def test_a_missing_tokenizer_leaves_the_images(tmp_path, refuse):
    write_open_clip(tmp_path / FOLDER, SIGLIP_CONFIG)
    assert load_encoder_folder(LocalStore(tmp_path), FOLDER, tmp_path / "scratch").dimensions == 64
    assert refuse("a dog").startswith("tokenizer.json is not there. The folder holds ")


def test_a_scale_that_is_no_scale(refuse, siglip):
    path = siglip / "open_clip_model.safetensors"
    weights = load_file(path)
    save_file({**weights, "logit_scale": torch.tensor(99.0)}, path)
    assert "logit_scale gives a scale of" in refuse("a dog")
    weights.pop("logit_scale")
    save_file(weights, path)
    assert "logit_scale, the scale between cosines and probabilities, is not one number" in refuse("a dog")


def test_a_network_that_sees_too_many_patches_ends_before_it_computes(tmp_path, refuse, monkeypatch):
    monkeypatch.setattr(input_size, "MOST_PLACES", 15)
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    assert refuse().startswith("the network would see 16 patches of each picture of 32 pixels; the limit is 15.")


def test_names_of_files_are_escaped(refuse, folder):
    (folder / "config.json").unlink()
    (folder / "a\n\x1b[31mb.txt").write_text("x")
    assert r"a\n\x1b[31mb.txt" in refuse()
