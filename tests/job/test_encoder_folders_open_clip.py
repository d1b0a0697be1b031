"""Folders of open_clip's layout: outputs of both towers equal open_clip's own, and nothing is asked for or executed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_folders import (
    CLIP_CONFIG,
    SIGLIP_CONFIG,
    TIMM_CLIP_CONFIG,
    write_json,
    write_open_clip,
    write_tokenizer,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from selection_job.encoder.folders.loading import load_encoder_folder, load_text_tower
from selection_job.encoder.folders.open_clip_import import open_clip
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

pytestmark = pytest.mark.usefixtures("no_way_out")

FOLDER = ".lightly/encoders/tiny"
CONFIGS = {"own vit": CLIP_CONFIG, "timm": TIMM_CLIP_CONFIG, "siglip": SIGLIP_CONFIG}
TEXTS = ["a photo of a CAR, at night", "a dog"]


def _load(root, **options):
    return load_encoder_folder(LocalStore(root), FOLDER, root / "scratch", **options)


def _load_text(root, **options):
    return load_text_tower(LocalStore(root), FOLDER, root / "scratch", **options)


def _picture(width=70, height=53):
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_picture_s_vector_is_open_clip_s_own(tmp_path, name):
    network = write_open_clip(tmp_path / FOLDER, CONFIGS[name])
    config = CONFIGS[name]["preprocess_cfg"]
    encoder = _load(tmp_path)
    size_px = encoder.preprocessing.size_px
    transform = open_clip.image_transform(
        size_px,
        is_train=False,
        mean=config["mean"],
        std=config["std"],
        interpolation=config.get("interpolation"),
        resize_mode=config.get("resize_mode"),
    )
    picture = _picture(size_px * 2 + 6, size_px + 21)
    pixels = torch.from_numpy(encoder.preprocessing.make_pixels(picture))[None]
    ours = encoder.make_network(torch.float32)(pixels)
    assert (ours - network.encode_image(transform(picture)[None])).abs().max() <= 1e-5
    assert ours.shape == (1, encoder.dimensions)


@pytest.mark.parametrize("name", ["own vit", "timm"])
def test_a_text_s_vector_is_open_clip_s_own(tmp_path, name):
    network = write_open_clip(tmp_path / FOLDER, CONFIGS[name])
    tower = _load_text(tmp_path)
    theirs = network.encode_text(open_clip.SimpleTokenizer(context_length=16)(TEXTS), normalize=True)
    assert np.abs(tower.embed(TEXTS) - theirs.numpy()).max() <= 1e-5
    assert tower.scale == pytest.approx(float(network.logit_scale.exp()))


def test_a_siglip_s_texts_are_cleaned_and_padded_as_it_was_trained(tmp_path):
    network = write_open_clip(tmp_path / FOLDER, SIGLIP_CONFIG)
    write_tokenizer(tmp_path / FOLDER)
    # a, photo, of, a, car, <unk> for 'at', night; the end, and <pad> up to the context of 12
    theirs = network.encode_text(torch.tensor([[3, 29, 30, 3, 31, 2, 32, 1, 0, 0, 0, 0]]), normalize=True)
    assert np.abs(_load_text(tmp_path).embed(TEXTS[:1]) - theirs.numpy()).max() <= 1e-5


def test_texts_are_the_tokens_that_transformers_makes_of_the_same_files(tmp_path):
    transformers = pytest.importorskip("transformers")
    write_open_clip(tmp_path / FOLDER, SIGLIP_CONFIG)
    write_tokenizer(tmp_path / FOLDER)
    peer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / FOLDER / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
    )
    network = load_file(tmp_path / FOLDER / "open_clip_model.safetensors")
    assert network["text.token_embedding.weight"].shape[0] == 60
    expected = peer("a photo of a car night", max_length=12, padding="max_length", truncation=True).input_ids
    tokens = _load_text(tmp_path)._make_tokens(["A photo of a car: night!"])
    assert tokens.tolist() == [expected]


def test_a_text_tower_knows_the_encoder_of_its_folder(tmp_path):
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    tower, encoder = _load_text(tmp_path), _load(tmp_path)
    assert tower.image_fingerprint == encoder.fingerprint
    assert tower.dimensions == encoder.dimensions == 24
    assert tower.fingerprint != encoder.fingerprint
    assert _load_text(tmp_path, input_size_px=64).image_fingerprint == _load(tmp_path, input_size_px=64).fingerprint


def test_other_texts_do_not_make_an_encoder_another_one_and_other_weights_do(tmp_path):
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    before, text_before = _load(tmp_path), _load_text(tmp_path)
    path = tmp_path / FOLDER / "open_clip_model.safetensors"
    weights = load_file(path)
    weights["ln_final.weight"][0] += 1
    save_file(weights, path)
    assert _load(tmp_path).fingerprint == before.fingerprint
    assert _load_text(tmp_path).fingerprint != text_before.fingerprint
    weights["visual.ln_post.weight"][0] += 1
    save_file(weights, path)
    assert _load(tmp_path).fingerprint != before.fingerprint


@pytest.mark.parametrize("key, value", [("mean", 0.4), ("std", 0.4), ("resize_mode", "longest")])
def test_another_preprocessing_makes_another_encoder(tmp_path, key, value):
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    before = _load(tmp_path).fingerprint
    config = json.loads(json.dumps(CLIP_CONFIG))
    config["preprocess_cfg"][key] = value
    write_json(tmp_path / FOLDER / "open_clip_config.json", config)
    assert _load(tmp_path).fingerprint != before


def test_quick_gelu_counts(tmp_path):
    """OpenAI's weights with the other activation give plausible vectors that are wrong."""
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    pixels = torch.from_numpy(_load(tmp_path).preprocessing.make_pixels(_picture()))[None]
    quick = _load(tmp_path)
    config = json.loads(json.dumps(CLIP_CONFIG))
    config["model_cfg"]["quick_gelu"] = False
    write_json(tmp_path / FOLDER / "open_clip_config.json", config)
    plain = _load(tmp_path)
    first, second = (encoder.make_network(torch.float32)(pixels) for encoder in (quick, plain))
    assert (first - second).abs().max() > 1e-4
    assert quick.fingerprint != plain.fingerprint


@pytest.mark.parametrize("name", CONFIGS)
def test_another_input_size_resamples_what_was_learned_about_places(tmp_path, name):
    write_open_clip(tmp_path / FOLDER, CONFIGS[name])
    encoder = _load(tmp_path, input_size_px=64)
    assert encoder.make_network(torch.float32)(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).shape[0] == 1
    assert encoder.fingerprint != _load(tmp_path).fingerprint


def test_half_precision_weights_give_nearly_the_same_vectors_in_either_format(tmp_path):
    network = write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    half = {key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}
    pixels = torch.from_numpy(_load(tmp_path).preprocessing.make_pixels(_picture()))[None]
    full = _load(tmp_path).make_network(torch.float32)(pixels)
    save_file(half, tmp_path / FOLDER / "open_clip_model.safetensors")
    encoder = _load(tmp_path)
    assert all(tensor.dtype == torch.float32 for tensor in encoder.model.state_dict().values())
    for number_format in (torch.float32, torch.bfloat16):
        close = torch.nn.functional.cosine_similarity(encoder.make_network(number_format)(pixels), full)
        assert close.item() > 0.999


def test_the_job_does_not_import_transformers_which_is_installed_here(tmp_path):
    pytest.importorskip("transformers")
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    code = (
        "import sys; from pathlib import Path\n"
        "from selection_job.encoder.folders.loading import load_text_tower\n"
        "from selection_job.stores.local.store import LocalStore\n"
        f"root = Path({str(tmp_path)!r})\n"
        f"load_text_tower(LocalStore(root), {FOLDER!r}, root / 'scratch').embed(['a dog'])\n"
        "print('transformers' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_folder_s_python_is_never_run(tmp_path):
    """What open_clip.get_tokenizer does with these files."""
    folder = tmp_path / FOLDER
    write_open_clip(folder, SIGLIP_CONFIG)
    write_tokenizer(folder)
    marker = tmp_path / "it-ran"
    (folder / "tok.py").write_text(f"open({str(marker)!r}, 'w')\n")
    write_json(
        folder / "tokenizer_config.json",
        {"pad_token": "<pad>", "auto_map": {"AutoTokenizer": ["tok.Tok", "tok.Tok"]}, "tokenizer_class": "Tok"},
    )
    _load_text(tmp_path).embed(["a dog"])
    config = json.loads(json.dumps(SIGLIP_CONFIG))
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]["trust_remote_code"] = True
    write_json(folder / "open_clip_config.json", config)
    with pytest.raises(UnusableData, match=r"text_cfg.tokenizer_kwargs has 'trust_remote_code'"):
        _load_text(tmp_path)
    assert not marker.exists()


def test_a_text_tower_of_another_library_leaves_the_images(tmp_path):
    folder = tmp_path / FOLDER
    network = write_open_clip(folder, TIMM_CLIP_CONFIG)
    config = json.loads(json.dumps(TIMM_CLIP_CONFIG))
    config["model_cfg"]["text_cfg"] = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"}
    write_json(folder / "open_clip_config.json", config)
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(_load(tmp_path).model(picture), network.encode_image(picture))
    with pytest.raises(UnusableData, match="'roberta-base' is a text tower of another library: images can be"):
        _load_text(tmp_path)


def test_a_text_that_is_longer_than_the_context_is_named_with_its_tokens(tmp_path):
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    tower = _load_text(tmp_path)
    fits = " ".join(["dog"] * 14)
    assert tower.embed([fits]).shape == (1, 24)
    with pytest.raises(UnusableData, match="has 17 tokens, and the encoder's text tower reads 16"):
        tower.embed([f"{fits} dog"])


def test_vectors_of_texts_have_unit_length_whatever_their_number(tmp_path):
    write_open_clip(tmp_path / FOLDER, CLIP_CONFIG)
    tower = _load_text(tmp_path, image_fingerprint="0" * 64)
    vectors = tower.embed([f"photo {n}" for n in range(19)])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert tower.embed([]).shape == (0, 24)
    assert tower.image_fingerprint == "0" * 64


def test_a_copy_is_used_again_until_the_folder_changes(tmp_path):
    folder: Path = tmp_path / FOLDER
    write_open_clip(folder, CLIP_CONFIG, seed=1)
    first = _load(tmp_path)
    copies = sorted((tmp_path / "scratch").rglob("open_clip_model.safetensors"))
    assert _load(tmp_path).fingerprint == first.fingerprint
    assert sorted((tmp_path / "scratch").rglob("open_clip_model.safetensors")) == copies
    write_open_clip(folder, CLIP_CONFIG, seed=2)
    assert _load(tmp_path).fingerprint != first.fingerprint
