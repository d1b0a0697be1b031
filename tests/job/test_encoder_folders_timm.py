"""Folders of timm's layout: outputs equal timm's own of the same folder, and config.json decides as it does there."""

import json

import numpy as np
import pytest
import timm
import torch
from encoder_folders import write_json, write_timm
from PIL import Image
from safetensors.torch import load_file, save_file

from selection_job.encoder.folders.loading import load_encoder_folder, load_text_tower
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

pytestmark = pytest.mark.usefixtures("no_way_out")

FOLDER = ".lightly/encoders/tiny"
MODELS = ["test_vit", "test_resnet", "test_efficientnet", "test_convnext", "test_mambaout"]


def _load(root, **options):
    return load_encoder_folder(LocalStore(root), FOLDER, root / "scratch", **options)


def _change(root, change):
    path = root / FOLDER / "config.json"
    config = json.loads(path.read_text())
    change(config)
    write_json(path, config)


def _picture(width, height):
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", MODELS)
def test_a_picture_s_vector_is_timm_s_own(tmp_path, name):
    write_timm(tmp_path / FOLDER, name)
    peer = timm.create_model(f"local-dir:{tmp_path / FOLDER}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(peer))
    encoder = _load(tmp_path)
    picture = _picture(301, 203)
    with torch.inference_mode():
        theirs = peer(transform(picture)[None])
        ours = encoder.make_network(torch.float32)(torch.from_numpy(encoder.preprocessing.make_pixels(picture))[None])
    assert (ours - theirs).abs().max() <= 1e-5
    assert encoder.dimensions == theirs.shape[1]
    assert encoder.name == name


@pytest.mark.parametrize(
    "mode, share", [("center", 0.9), ("center", 1.0), ("squash", 1.0), ("squash", 0.95), ("border", 1.0)]
)
def test_pictures_are_made_ready_as_timm_does(tmp_path, mode, share):
    write_timm(tmp_path / FOLDER, "test_resnet", crop_mode=mode, crop_pct=share, interpolation="bicubic")
    encoder = _load(tmp_path)
    transform = timm.data.create_transform(
        input_size=(3, 160, 160), crop_mode=mode, crop_pct=share, interpolation="bicubic", mean=(0,) * 3, std=(1,) * 3
    )
    for size in ((301, 203), (203, 517), (96, 96), (40, 60)):
        picture = _picture(*size)
        expected = (transform(picture).permute(1, 2, 0) * 255).round().byte().numpy()
        pixels = encoder.preprocessing.make_pixels(picture)
        if mode == "border":  # what lies beside the picture has the colour of the mean, which is another one here
            inside = expected.any(axis=2)
            expected, pixels = expected[inside], pixels[inside]
        assert np.abs(pixels.astype(int) - expected).max() <= 1, size


def test_an_older_config_of_one_object_says_the_same(tmp_path):
    write_timm(tmp_path / FOLDER, "test_resnet", crop_pct=0.9)
    before = _load(tmp_path)

    def flatten(config):
        config.update(config.pop("pretrained_cfg"))

    _change(tmp_path, flatten)
    assert _load(tmp_path).fingerprint == before.fingerprint


def test_invented_keys_are_passed_over_as_timm_does_and_arguments_of_the_network_are_not(tmp_path):
    write_timm(tmp_path / FOLDER, "test_vit")
    before = _load(tmp_path).fingerprint
    _change(tmp_path, lambda config: config.update(img_size=999, depth=1_000_000, auto_map={"AutoModel": "x.Y"}))
    assert _load(tmp_path).fingerprint == before
    _change(tmp_path, lambda config: config.update(model_args={"norm_layer": "os.system"}))
    with pytest.raises(
        UnusableData, match=r"config.json: model_args has 'norm_layer', which this version does not know"
    ):
        _load(tmp_path)


def test_an_architecture_comes_from_timm_s_registry_alone(tmp_path):
    write_timm(tmp_path / FOLDER, "test_vit")
    for value in ("hf-hub:timm/resnet18", "local-dir:/etc", "../x", "resnet18.hf-hub:x/y", "", "a" * 300):
        _change(tmp_path, lambda config, value=value: config.update(architecture=value))
        with pytest.raises(UnusableData, match="is not known to timm"):
            _load(tmp_path)


def test_a_misspelt_architecture_is_told_the_nearest(tmp_path):
    write_timm(tmp_path / FOLDER, "test_vit")
    _change(tmp_path, lambda config: config.update(architecture="vit_smal_patch14_dinov2"))
    with pytest.raises(
        UnusableData, match=r"'vit_smal_patch14_dinov2' is not known to timm [\d.]+; nearest: vit_small_patch14_dinov2"
    ):
        _load(tmp_path)


def test_weights_of_another_architecture_are_recognised(tmp_path):
    write_timm(tmp_path / FOLDER, "test_convnext2")
    _change(tmp_path, lambda config: config.update(architecture="test_convnext"))
    with pytest.raises(
        UnusableData,
        match=r"does not fit test_convnext: .* \(\d+ of \d+ tensors differ\); it looks like test_convnext2",
    ):
        _load(tmp_path)


def test_hostile_sizes_end_before_memory_is_taken(tmp_path):
    write_timm(tmp_path / FOLDER, "test_vit")
    for change, message in (
        ({"depth": 1_000_000}, "model_args.depth is the number 1000000, expected a whole number from 1 to 128"),
        ({"img_size": 60_000}, "model_args.img_size is the number 60000"),
        ({"embed_dim": 8192, "depth": 128, "num_heads": 64}, "parameters; the limit is 3,000,000,000"),
    ):
        _change(tmp_path, lambda config, change=change: config.update(model_args=change))
        with pytest.raises(UnusableData, match=message):
            _load(tmp_path)


def test_the_classifier_is_left_out_whatever_it_sorts_into(tmp_path):
    write_timm(tmp_path / FOLDER, "test_resnet")
    before = _load(tmp_path).fingerprint
    path = tmp_path / FOLDER / "model.safetensors"
    weights = load_file(path)
    assert "fc.weight" in weights
    save_file({**weights, "fc.weight": torch.zeros(3, 96), "fc.bias": torch.zeros(3)}, path)
    assert _load(tmp_path).fingerprint == before


def test_the_licence_is_the_one_that_the_folder_states(tmp_path):
    write_timm(tmp_path / FOLDER, "test_resnet", license="cc-by-nc-4.0")
    assert _load(tmp_path).licence == "cc-by-nc-4.0"
    _change(tmp_path, lambda config: config["pretrained_cfg"].pop("license"))
    assert _load(tmp_path).licence == ""


def test_texts_need_another_folder(tmp_path):
    write_timm(tmp_path / FOLDER, "test_resnet")
    with pytest.raises(UnusableData, match=r"it has no text tower. Texts need a CLIP or a SigLIP"):
        load_text_tower(LocalStore(tmp_path), FOLDER, tmp_path / "scratch")


def test_shards_give_the_same_encoder_as_one_file(tmp_path):
    folder = tmp_path / FOLDER
    write_timm(folder, "test_resnet")
    before = _load(tmp_path).fingerprint
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {
        "model-00001-of-00002.safetensors": sorted(weights)[::2],
        "model-00002-of-00002.safetensors": sorted(weights)[1::2],
    }
    for name, keys in parts.items():
        save_file({key: weights[key] for key in keys}, folder / name)
    places = {key: name for name, keys in parts.items() for key in keys}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    assert _load(tmp_path).fingerprint == before
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnusableData, match=r"model-00002-of-00002.safetensors is not there"):
        _load(tmp_path)
    for wrong in ("../secret.safetensors", "weights.bin", "/etc/passwd"):
        write_json(folder / "model.safetensors.index.json", {"weight_map": {"a": wrong}})
        with pytest.raises(UnusableData, match=r"expected a \*.safetensors of the same folder"):
            _load(tmp_path)
