"""Folders that transformers writes: the vectors that timm's and open_clip's parts make equal transformers' own."""

import json

import numpy as np
import pytest
import torch
from encoder_folders import WORDS, write_json, write_tokenizer
from PIL import Image
from safetensors.torch import load_file, save_file

from selection_job.encoder.folders.loading import load_encoder_folder, load_text_tower
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("no_way_out")

FOLDER = ".lightly/encoders/tiny"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {**SMALL, "intermediate_size": 48, "max_position_embeddings": 12, "eos_token_id": 1, "pad_token_id": 0}
IMAGE = {**SMALL, "intermediate_size": 64, "image_size": 32, "patch_size": 8}


def _joint(kind, vocabulary):
    text = {**TEXT, "vocab_size": vocabulary, "bos_token_id": 0}
    if vocabulary > 1000:
        text |= {"bos_token_id": 49406, "eos_token_id": 49407}
    if kind == "siglip":
        return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=IMAGE))
    text, image = {**text, "projection_dim": 24}, {**IMAGE, "projection_dim": 24}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=24))


def _dinov3(**more):
    return transformers.DINOv3ViTModel(
        transformers.DINOv3ViTConfig(
            **SMALL, intermediate_size=64, patch_size=16, image_size=64, num_register_tokens=4, **more
        )
    )


MODELS = {
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**SMALL, intermediate_size=64, image_size=64)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=56)),
    "dinov2 giant": lambda: transformers.Dinov2Model(
        transformers.Dinov2Config(**SMALL, image_size=56, use_swiglu_ffn=True)
    ),
    "dinov2_with_registers": lambda: transformers.Dinov2WithRegistersModel(
        transformers.Dinov2WithRegistersConfig(**SMALL, image_size=56, patch_size=14)
    ),
    "dinov3_vit": _dinov3,
    "dinov3_vit plus": lambda: _dinov3(use_gated_mlp=True, hidden_act="silu"),
    "clip": lambda: _joint("clip", 60),
    "siglip": lambda: _joint("siglip", 60),
}


def _write(root, name, *, seed=0, size_px=None, factory=None):
    """Write a folder by transformers itself, every parameter random: some begin as zeros or ones."""
    torch.manual_seed(seed)
    model = (factory or MODELS[name])().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(root / FOLDER)
    if size_px:
        size = {"height": size_px, "width": size_px}
        write_json(root / FOLDER / "preprocessor_config.json", {"size": size, "do_center_crop": False, "resample": 3})
    return model


def _load(root, **options):
    return load_encoder_folder(LocalStore(root), FOLDER, root / "scratch", **options)


def _embed_theirs(model, images):
    with torch.inference_mode():
        if hasattr(model, "get_image_features"):
            found = model.get_image_features(pixel_values=images)
            return found if isinstance(found, torch.Tensor) else found.pooler_output
        return model(pixel_values=images).last_hidden_state[:, 0]


@pytest.mark.parametrize("name", MODELS)
def test_an_image_s_vector_is_transformers_own(tmp_path, name):
    model = _write(
        tmp_path, name, size_px=(size := 56 if "dinov2" in name else 32 if name in ("clip", "siglip") else 64)
    )
    encoder = _load(tmp_path)
    images = torch.rand(2, 3, size, size)
    assert (encoder.model(images) - _embed_theirs(model, images)).abs().max() <= 1e-5
    assert encoder.preprocessing.size_px == size


@pytest.mark.parametrize("name", ["dinov2", "dinov2_with_registers", "dinov3_vit"])
def test_another_size_is_resampled_as_transformers_does(tmp_path, name):
    """DINOv2's networks are made for 518 pixels and its pictures have 224."""
    model = _write(tmp_path, name, size_px=112 if name == "dinov3_vit" else 28)
    images = torch.rand(2, 3, *[112 if name == "dinov3_vit" else 28] * 2)
    assert (_load(tmp_path).model(images) - _embed_theirs(model, images)).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_a_text_s_vector_is_transformers_own(tmp_path, name):
    model = _write(tmp_path, name)
    write_tokenizer(tmp_path / FOLDER)
    text = "a photo of a car"
    ids = [WORDS.index(word) for word in text.split()] + [1]
    tokens = torch.tensor([ids + [0] * (12 - len(ids))])
    with torch.inference_mode():
        theirs = model.get_text_features(input_ids=tokens)
    theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.pooler_output
    tower = load_text_tower(LocalStore(tmp_path), FOLDER, tmp_path / "scratch")
    ours = tower.embed([text.upper()])
    assert np.abs(ours - torch.nn.functional.normalize(theirs, dim=-1).numpy()).max() <= 1e-5
    assert tower.scale == pytest.approx(float(model.logit_scale.detach().exp()))
    assert tower.image_fingerprint == _load(tmp_path).fingerprint


def test_clip_s_own_vocabulary_needs_no_file(tmp_path):
    model = _write(tmp_path, "clip", factory=lambda: _joint("clip", 49408))
    tower = load_text_tower(LocalStore(tmp_path), FOLDER, tmp_path / "scratch")
    # a photo of a dog, between the tokens of start and end, as OpenAI's vocabulary has them
    ids = torch.tensor([[49406, 320, 1125, 539, 320, 1929, 49407]])
    with torch.inference_mode():
        theirs = model.get_text_features(input_ids=ids)
    theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.pooler_output
    ours = tower.embed(["a photo of a dog"])
    assert np.abs(ours - torch.nn.functional.normalize(theirs, dim=-1).numpy()).max() <= 1e-5


def test_a_config_that_states_what_differs_only_is_completed(tmp_path):
    """SigLIP 2's config.json has some 250 bytes."""
    _write(tmp_path, "siglip", size_px=32)
    before = _load(tmp_path).model.state_dict()
    path = tmp_path / FOLDER / "config.json"
    config = json.loads(path.read_text())
    for part in ("text_config", "vision_config"):
        for key in ("hidden_act", "layer_norm_eps", "attention_dropout", "model_type", "num_channels"):
            config[part].pop(key, None)
    write_json(path, config)
    model = transformers.SiglipModel.from_pretrained(tmp_path / FOLDER).eval()
    images = torch.rand(1, 3, 32, 32)
    assert (_load(tmp_path).model(images) - _embed_theirs(model, images)).abs().max() <= 1e-5
    assert before.keys() == _load(tmp_path).model.state_dict().keys()


@pytest.mark.parametrize(
    "name, kind", [("dinov2", "BitImageProcessor"), ("clip", "CLIPImageProcessor"), ("vit", "ViTImageProcessor")]
)
def test_pictures_are_made_ready_as_transformers_does(tmp_path, name, kind):
    """With preprocessor_config.json as it writes it, and the same where there is none."""
    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    more = {"size": {"shortest_edge": 256}, **imagenet} if name == "dinov2" else {}  # as its repositories have it
    kind = f"{kind}Pil" if hasattr(transformers, f"{kind}Pil") else kind
    processor = getattr(transformers, kind)(**more)
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (399, 333, 3), dtype=np.uint8)
    )  # an odd rest would be cut elsewhere
    config = processor.to_dict()
    _write(tmp_path, name)
    plain = _load(tmp_path)
    (tmp_path / FOLDER / "preprocessor_config.json").write_text(json.dumps(config))
    encoder = _load(tmp_path)
    assert plain.fingerprint == encoder.fingerprint
    theirs = torch.as_tensor(np.asarray(processor(picture)["pixel_values"][0]))
    network = encoder.make_network(torch.float32)
    pixels = torch.from_numpy(encoder.preprocessing.make_pixels(picture))[None]
    ours = (pixels.permute(0, 3, 1, 2).float() * network.scale + network.shift)[0]
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 0.02  # a grey level of 255 is at most 0.0175


def test_weights_of_a_model_with_a_head_of_its_own_are_read(tmp_path):
    """ForImageClassification puts the model's name before each tensor."""
    model = _write(tmp_path, "dinov2", size_px=56)
    path = tmp_path / FOLDER / "model.safetensors"
    weights = {f"dinov2.{key}": value for key, value in load_file(path).items()}
    save_file({**weights, "classifier.weight": torch.zeros(5, 64)}, path)
    images = torch.rand(1, 3, 56, 56)
    assert (_load(tmp_path).model(images) - _embed_theirs(model, images)).abs().max() <= 1e-5


def test_a_dinov3_that_calls_itself_vit_is_recognised(tmp_path):
    _write(tmp_path, "dinov3_vit")
    path = tmp_path / FOLDER / "config.json"
    write_json(path, {**json.loads(path.read_text()), "model_type": "vit"})
    with pytest.raises(UnusableData, match="it looks like model_type dinov3_vit"):
        _load(tmp_path)


def test_code_of_a_repository_is_never_run(tmp_path):
    write_json(tmp_path / FOLDER / "config.json", {"model_type": "jina_clip", "auto_map": {"AutoModel": "m.M"}})
    save_file({"a": torch.zeros(1)}, tmp_path / FOLDER / "model.safetensors")
    with pytest.raises(
        UnusableData,
        match=r"model_type 'jina_clip' needs Python code of its repository \(auto_map\), which is never run",
    ):
        _load(tmp_path)


def test_siglip_2_of_any_size_is_refused_with_what_to_take(tmp_path):
    write_json(tmp_path / FOLDER / "config.json", {"model_type": "siglip2"})
    save_file({"a": torch.zeros(1)}, tmp_path / FOLDER / "model.safetensors")
    with pytest.raises(UnusableData, match=r"NaFlex.*take one of a fixed size"):
        _load(tmp_path)


def test_of_two_forms_side_by_side_the_weights_say_which_counts(tmp_path):
    """laion's repositories hold transformers' weights beside open_clip's configuration."""
    model = _write(tmp_path, "clip", size_px=32)
    write_json(tmp_path / FOLDER / "open_clip_config.json", {"model_cfg": {}})
    images = torch.rand(1, 3, 32, 32)
    assert (_load(tmp_path).model(images) - _embed_theirs(model, images)).abs().max() <= 1e-5
