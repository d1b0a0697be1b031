"""transformers' layout: config.json with a model_type, built from timm's and open_clip's parts.

The library itself is not needed. A config.json holds what differs from its class's defaults, so the defaults are here.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from selection_job.encoder.folders.blueprint import Blueprint, FolderPlan, ImageTower, Rename, TextTowerPlan
from selection_job.encoder.folders.config_rules import (
    ANYTHING,
    BOOLEAN,
    NULL,
    Rules,
    check_fields,
    either,
    integer,
    number,
    one_of,
)
from selection_job.encoder.folders.folder_files import CONFIG, FolderFiles
from selection_job.encoder.folders.open_clip_layout import build_clip_image, build_clip_text
from selection_job.encoder.folders.renaming import (
    is_of_vit,
    rename_clip,
    rename_dinov3,
    rename_registers,
    rename_siglip_image,
    rename_vit,
)
from selection_job.encoder.folders.tensor_files import TensorFiles
from selection_job.encoder.folders.text_tokens import CLIP_VOCABULARY, ClipTokens, read_file_tokens
from selection_job.encoder.folders.transformers_pictures import Pictures, read_pictures
from selection_job.encoder.folders.transformers_towers import (
    Fields,
    as_open_clip_image,
    as_open_clip_text,
    build_dinov3,
    build_vit,
    is_quick,
)
from selection_job.encoder.folders.unusable_folder import UnusableFolder

_NO_TEXT = f"{CONFIG} is that of an image model: it has no text tower. Texts need a CLIP or a SigLIP"
_SIZES: Rules = {
    "hidden_size": integer(8, 8192),
    "num_hidden_layers": integer(1, 128),
    "num_attention_heads": integer(1, 128),
    "intermediate_size": integer(8, 65536),
    "mlp_ratio": number(0.1, 16),
    "image_size": integer(16, 1024),
    "patch_size": integer(1, 64),
    "num_channels": integer(3, 3),
    "layer_norm_eps": number(1e-13, 0.1),
    "hidden_act": one_of("gelu", "quick_gelu", "gelu_pytorch_tanh", "silu"),
    "num_register_tokens": integer(0, 64),
    "projection_dim": integer(1, 8192),
    "projection_size": either(NULL, integer(1, 8192)),
    "vocab_size": integer(1, 1_000_000),
    "max_position_embeddings": integer(1, 1024),
    "eos_token_id": either(NULL, integer(0, 1_000_000)),
    "rope_theta": number(1, 1e6),
    "qkv_bias": one_of(True),
    "query_bias": one_of(True),
    "value_bias": one_of(True),
    "key_bias": BOOLEAN,
    "proj_bias": one_of(True),
    "mlp_bias": one_of(True),
    "use_swiglu_ffn": BOOLEAN,
    "use_gated_mlp": BOOLEAN,
    "vision_use_head": one_of(True),
    "apply_layernorm": one_of(True),
}
"""What decides over an output, of whatever type; the rest of a config.json is about training and saving."""
_VIT: Fields = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "mlp_ratio": 4,
    "image_size": 224,
    "patch_size": 16,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu",
    "use_swiglu_ffn": False,
    "num_register_tokens": 4,
}
_CLIP_IMAGE = {**_VIT, "patch_size": 32, "layer_norm_eps": 1e-5, "hidden_act": "quick_gelu", "projection_dim": 512}
_CLIP_TEXT: Fields = {
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "mlp_ratio": 4,
    "layer_norm_eps": 1e-5,
    "hidden_act": "quick_gelu",
    "vocab_size": CLIP_VOCABULARY,
    "max_position_embeddings": 77,
    "eos_token_id": 49_407,
}
_SIGLIP = {**_VIT, "hidden_act": "gelu_pytorch_tanh"}
_SIGLIP_TEXT = {**_CLIP_TEXT, **_SIGLIP, "vocab_size": 32_000, "max_position_embeddings": 64}
_DINOV3 = {**_VIT, "hidden_size": 384, "num_attention_heads": 6, "layer_norm_eps": 1e-5, "num_register_tokens": 0}
_CODE = "needs Python code of its repository (auto_map), which is never run"


def plan_transformers(config: Fields, files: FolderFiles, tensors: TensorFiles) -> FolderPlan:
    """Read config.json and preprocessor_config.json. Raises UnusableFolder that names the key which is wrong."""
    kind = config["model_type"]
    plan = _PLANS.get(kind) if isinstance(kind, str) else None
    if plan is None:
        shown = repr(kind)[:80]
        why = _CODE if "auto_map" in config else _EXPLAINED.get(str(kind), "is none that timm or open_clip build here")
        raise UnusableFolder(f"{CONFIG}: model_type {shown} {why}. Known are {', '.join(sorted(_PLANS))}")
    return plan(config, files, tensors)


def _plan_vit(kind: str, config: Fields, files: FolderFiles, tensors: TensorFiles) -> FolderPlan:
    defaults = {
        "vit": {**_VIT, "layer_norm_eps": 1e-12},
        "dinov2": {**_VIT, "patch_size": 14},
        "dinov2_with_registers": _VIT,
        "dinov3_vit": _DINOV3,
    }[kind]
    fields = _read(config, defaults, CONFIG)
    build: Callable[[Fields], nn.Module] = build_dinov3 if kind == "dinov3_vit" else partial(build_vit, kind)
    rename: Rename = {"dinov2_with_registers": rename_registers, "dinov3_vit": rename_dinov3}.get(kind, rename_vit)
    blueprint = Blueprint(
        architecture=f"{kind} of {fields['hidden_size']} x {fields['num_hidden_layers']}",
        identity=_identify(kind, fields),
        build=partial(build, fields),
        wanted=is_of_vit,
        rename=rename,
        advise=lambda _: _guess(kind, tensors),
    )
    pictures = read_pictures(files, kind)
    return FolderPlan(_make_tower(blueprint, fields, pictures, antialias=kind != "dinov2"), None, _NO_TEXT)


def _plan_clip(config: Fields, files: FolderFiles, _: TensorFiles) -> FolderPlan:
    image = _read(config.get("vision_config") or {}, _CLIP_IMAGE, f"{CONFIG}: vision_config")
    text = _read(config.get("text_config") or {}, _CLIP_TEXT, f"{CONFIG}: text_config")
    width = check_fields(
        {"projection_dim": config.get("projection_dim", 512)}, {"projection_dim": integer(1, 8192)}, CONFIG
    )["projection_dim"]
    vision_blueprint = Blueprint(
        architecture=f"CLIP with a ViT of {image['hidden_size']} x {image['num_hidden_layers']}",
        identity=_identify(f"clip {width}", image),
        build=partial(build_clip_image, width, as_open_clip_image(image), is_quick(image)),
        wanted=lambda name: name.startswith("vision_model.") or name == "visual_projection.weight",
        rename=rename_clip,
    )
    own_vocabulary = text["vocab_size"] == CLIP_VOCABULARY
    pool = {} if own_vocabulary else {"pool_type": "eos", "eos_id": text["eos_token_id"]}
    text_blueprint = Blueprint(
        architecture=f"CLIP's text tower of {text['hidden_size']} x {text['num_hidden_layers']}",
        identity=_identify(f"clip {width}", text),
        build=partial(build_clip_text, width, {**as_open_clip_text(text), **pool}, is_quick(text)),
        wanted=lambda name: name.startswith("text_model.") or name == "text_projection.weight",
        rename=rename_clip,
    )
    context = text["max_position_embeddings"]
    make_tokens = (
        partial(ClipTokens, context, "lower")
        if own_vocabulary
        else partial(read_file_tokens, files, context=context, vocabulary=text["vocab_size"], clean="lower")
    )
    tower = _make_tower(vision_blueprint, image, read_pictures(files, "clip"))
    return FolderPlan(tower, TextTowerPlan(text_blueprint, make_tokens))


def _plan_siglip(config: Fields, files: FolderFiles, _: TensorFiles) -> FolderPlan:
    image = _read(config.get("vision_config") or {}, _SIGLIP, f"{CONFIG}: vision_config")
    text = _read(config.get("text_config") or {}, _SIGLIP_TEXT, f"{CONFIG}: text_config")
    vision_blueprint = Blueprint(
        architecture=f"SigLIP with a ViT of {image['hidden_size']} x {image['num_hidden_layers']}",
        identity=_identify("siglip", image),
        build=partial(build_vit, "siglip", image),
        wanted=lambda name: name.startswith("vision_model."),
        rename=rename_siglip_image,
    )
    settings = {
        **as_open_clip_text(text),
        "no_causal_mask": True,
        "proj_bias": True,
        "pool_type": "last",
        "act_kwargs": {"approximate": "tanh" if text["hidden_act"] == "gelu_pytorch_tanh" else "none"},
    }
    width = text.get("projection_size") or text["hidden_size"]
    context = text["max_position_embeddings"]
    text_blueprint = Blueprint(
        architecture=f"SigLIP's text tower of {text['hidden_size']} x {text['num_hidden_layers']}",
        identity=_identify("siglip", text),
        build=partial(build_clip_text, width, settings, is_quick(text)),
        wanted=lambda name: name.startswith("text_model."),
        rename=rename_clip,
    )
    make_tokens = partial(read_file_tokens, files, context=context, vocabulary=text["vocab_size"], clean="canonicalize")
    tower = _make_tower(vision_blueprint, image, read_pictures(files, "siglip"))
    return FolderPlan(tower, TextTowerPlan(text_blueprint, make_tokens))


def _read(config: Any, defaults: Fields, place: str) -> Fields:
    """Return the fields that decide over an output, those that are not given by their defaults."""
    if not isinstance(config, dict):
        raise UnusableFolder(f"{place} is not an object")
    rules = {**dict.fromkeys(config, ANYTHING), **_SIZES}
    given = {key: value for key, value in check_fields(config, rules, place).items() if key in _SIZES}
    fields = {**defaults, **given}
    if "intermediate_size" not in given:
        fields["intermediate_size"] = round(fields["hidden_size"] * fields["mlp_ratio"])
    if fields["hidden_size"] % fields["num_attention_heads"]:
        raise UnusableFolder(f"{place}: hidden_size is not a multiple of num_attention_heads")
    return fields


def _make_tower(blueprint: Blueprint, fields: Fields, pictures: Pictures, *, antialias: bool = True) -> ImageTower:
    return ImageTower(
        blueprint, pictures.preprocessing, fields["image_size"], pictures.mean, pictures.std, antialias=antialias
    )


def _identify(kind: str, fields: Fields) -> str:
    return f"transformers {kind} {json.dumps(fields, sort_keys=True)}"


def _guess(kind: str, tensors: TensorFiles) -> str:
    """Return which type the names of the tensors speak of, where it is another one."""
    names = tensors.entries
    rotary = not any("position_embeddings" in name for name in names)
    registers = any(name.endswith("register_tokens") for name in names)
    scaled = any("layer_scale1" in name for name in names)
    found = "vit"
    if scaled:
        found = "dinov3_vit" if rotary else "dinov2_with_registers" if registers else "dinov2"
    return "" if found == kind else f"; it looks like model_type {found}"


_PLANS: dict[str, Callable[[Fields, FolderFiles, TensorFiles], FolderPlan]] = {
    **{kind: partial(_plan_vit, kind) for kind in ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")},
    "clip": _plan_clip,
    "siglip": _plan_siglip,
}
_EXPLAINED = {"siglip2": "is SigLIP 2 of any size (NaFlex), which is not supported; take one of a fixed size"}
