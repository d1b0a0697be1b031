"""open_clip's layout: open_clip_config.json, which describes both towers and the preprocessing.

The network is built from the checked configuration by open_clip's classes. open_clip's own readers of folders run a
tokenizer's Python files, fetch what a configuration names, and leave a network random whose weights they do not find.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from selection_job.encoder.folders.blueprint import Blueprint, FolderPlan, ImageTower, TextTowerPlan
from selection_job.encoder.folders.config_rules import (
    ANYTHING,
    BOOLEAN,
    NAME,
    NULL,
    Rules,
    check_fields,
    either,
    integer,
    list_of,
    number,
    one_of,
)
from selection_job.encoder.folders.folder_files import OPEN_CLIP_CONFIG, FolderFiles
from selection_job.encoder.folders.open_clip_import import open_clip
from selection_job.encoder.folders.text_tokens import CLIP_VOCABULARY, ClipTokens, read_file_tokens
from selection_job.encoder.folders.timm_names import check_architecture
from selection_job.encoder.folders.unusable_folder import UnusableFolder
from selection_job.images.preprocessing import Preprocessing, Resize

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_RESIZES: dict[str, Resize] = {"shortest": "CROP", "longest": "PAD", "squash": "SQUASH"}
_SHARE = number(0, 1)
_OPTIONAL_SHARE = either(NULL, _SHARE)
_BLOCKS: Rules = {
    "mlp_ratio": number(0.1, 16),
    "ls_init_value": either(NULL, number(0, 10)),
    "act_kwargs": {"approximate": one_of("none", "tanh")},
    "norm_kwargs": {"eps": number(1e-12, 0.1)},
    "block_type": either(NULL, one_of("default", "custom")),
    "qk_norm": BOOLEAN,
    "scaled_cosine_attn": BOOLEAN,
    "scale_heads": BOOLEAN,
    "scale_attn_inner": BOOLEAN,
    "scale_attn": BOOLEAN,
    "scale_fc": BOOLEAN,
    "output_tokens": one_of(False),
    "final_ln_after_pool": BOOLEAN,
}
_SIZE = integer(16, 1024)
_VISION: Rules = {
    **_BLOCKS,
    "layers": either(integer(1, 128), list_of(integer(1, 64), 4)),
    "width": integer(1, 8192),
    "head_width": integer(1, 1024),
    "patch_size": integer(1, 64),
    "image_size": either(_SIZE, list_of(_SIZE, 2)),
    "patch_dropout": _SHARE,
    "attentional_pool": BOOLEAN,
    "attn_pooler_queries": integer(1, 1024),
    "attn_pooler_heads": integer(1, 128),
    "no_ln_pre": BOOLEAN,
    "pos_embed_type": one_of("learnable"),
    "pool_type": one_of("tok", "avg"),
    "timm_model_name": either(NULL, NAME),
    "timm_model_pretrained": BOOLEAN,
    "timm_pool": either(NULL, NAME),
    "timm_proj": one_of("linear", "mlp", "none", "", None),
    "timm_proj_bias": BOOLEAN,
    "timm_drop": _OPTIONAL_SHARE,
    "timm_drop_path": _OPTIONAL_SHARE,
}
_TEXT: Rules = {
    **_BLOCKS,
    "context_length": integer(1, 1024),
    "vocab_size": integer(1, 1_000_000),
    "hf_tokenizer_name": either(NULL, NAME),
    "tokenizer_mode": either(NULL, NAME),
    "tokenizer_kwargs": {
        "clean": one_of("whitespace", "lower", "canonicalize"),
        "strip_sep_token": BOOLEAN,
    },
    "width": integer(1, 8192),
    "heads": integer(1, 128),
    "layers": integer(1, 128),
    "embed_cls": BOOLEAN,
    "pad_id": integer(0, 1_000_000),
    "eos_id": integer(0, 1_000_000),
    "no_causal_mask": BOOLEAN,
    "pool_type": one_of("first", "last", "argmax", "eos"),
    "proj_bias": BOOLEAN,
    "proj_type": one_of("linear", "none"),
    "hf_model_name": either(NULL, NAME),
    "hf_model_pretrained": BOOLEAN,
    "hf_proj_type": either(NULL, NAME),
    "hf_pooler_type": either(NULL, NAME),
}
_MODEL: Rules = {
    "embed_dim": integer(1, 8192),
    "vision_cfg": _VISION,
    "text_cfg": _TEXT,
    "quick_gelu": BOOLEAN,
    "custom_text": BOOLEAN,
    "init_logit_scale": either(NULL, number(-100, 100)),
    "init_logit_bias": either(NULL, number(-1000, 1000)),
    "nonscalar_logit_scale": BOOLEAN,
}
_NUMBERS = either(NULL, number(-10, 10), list_of(number(-10, 10), 3))
_POSITIVE = either(NULL, number(1e-6, 100), list_of(number(1e-6, 100), 3))
_PREPROCESS: Rules = {
    "size": ANYTHING,  # the network's own size counts
    "mode": one_of("RGB"),
    "mean": _NUMBERS,
    "std": _POSITIVE,
    "interpolation": one_of("bicubic", "bilinear", "random", None),
    "resize_mode": one_of("shortest", "longest", "squash", None),
    "fill_color": either(NULL, integer(0, 255), list_of(integer(0, 255), 3)),
}
_SMALLEST_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}
_SMALLEST_VISION = {"image_size": 1, "patch_size": 1, "width": 8, "head_width": 8, "layers": 1}
_OLD_TEXT = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
"""How CLIP's own class names what others have below 'text.'."""


def plan_open_clip(files: FolderFiles) -> FolderPlan:
    """Read open_clip_config.json. Raises UnusableFolder that names the key which is wrong."""
    config = files.read_object(OPEN_CLIP_CONFIG)
    place = f"{OPEN_CLIP_CONFIG}: model_cfg"
    model = check_fields(config.get("model_cfg"), _MODEL, place)
    for key in ("embed_dim", "vision_cfg", "text_cfg"):
        if model.get(key) is None:
            raise UnusableFolder(f"{place}.{key} is missing")
    image = _plan_image(model, config.get("preprocess_cfg"))
    external = model["text_cfg"].get("hf_model_name")
    if external:
        return FolderPlan(
            image,
            None,
            f"{OPEN_CLIP_CONFIG}: text_cfg.hf_model_name {external!r} is a text tower of another library: images can "
            "be embedded, texts can't",
        )
    return FolderPlan(image, _plan_text(model, files))


def _plan_image(model: dict[str, Any], preprocess: Any) -> ImageTower:
    vision = {**model["vision_cfg"], "timm_model_pretrained": False, "patch_dropout": 0.0}
    architecture = f"open_clip's ViT of {vision.get('width', 768)} x {vision.get('layers', 12)}"
    if isinstance(vision.get("layers"), list):
        architecture = "open_clip's ResNet"
    if vision.get("timm_model_name"):
        place = f"{OPEN_CLIP_CONFIG}: vision_cfg.timm_model_name"
        vision["timm_model_name"] = check_architecture(vision["timm_model_name"], place)
        architecture = f"CLIP with {vision['timm_model_name']}"
    size_px = _edge(vision.get("image_size", 224))
    settings = check_fields(preprocess or {}, _PREPROCESS, f"{OPEN_CLIP_CONFIG}: preprocess_cfg")
    mean, std = _three(settings.get("mean"), _CLIP_MEAN), _three(settings.get("std"), _CLIP_STD)
    identity = {"embed_dim": model["embed_dim"], "vision": vision, "quick_gelu": model.get("quick_gelu", False)}
    blueprint = Blueprint(
        architecture=architecture,
        identity=f"open_clip {json.dumps(identity, sort_keys=True)}",
        build=partial(build_clip_image, model["embed_dim"], vision, bool(model.get("quick_gelu"))),
        wanted=lambda name: name.startswith("visual."),
        rename=lambda tensors: {name.removeprefix("visual."): tensor for name, tensor in tensors.items()},
    )
    preprocessing = Preprocessing(
        size_px,
        resize=_RESIZES[settings.get("resize_mode") or "shortest"],
        interpolation="bilinear" if settings.get("interpolation") == "bilinear" else "bicubic",
        fill=_colour(settings.get("fill_color") or 0),
    )
    return ImageTower(blueprint, preprocessing, size_px, mean, std)


def _plan_text(model: dict[str, Any], files: FolderFiles) -> TextTowerPlan:
    text = dict(model["text_cfg"])
    settings = text.pop("tokenizer_kwargs", None) or {}
    context, vocabulary = text.get("context_length", 77), text.get("vocab_size", CLIP_VOCABULARY)
    identity = {"text": text, "quick_gelu": model.get("quick_gelu", False)}
    blueprint = Blueprint(
        architecture=f"open_clip's text tower of {text.get('width', 512)} x {text.get('layers', 12)}",
        identity=f"open_clip {json.dumps(identity, sort_keys=True)}",
        build=partial(build_clip_text, model["embed_dim"], text, bool(model.get("quick_gelu"))),
        wanted=lambda name: name.startswith(("text.", *_OLD_TEXT)),
        rename=_rename_text,
    )
    if not text.get("hf_tokenizer_name"):
        if vocabulary != CLIP_VOCABULARY:
            raise UnusableFolder(
                f"{OPEN_CLIP_CONFIG}: text_cfg.vocab_size is {vocabulary:,}; without text_cfg.hf_tokenizer_name texts "
                f"are in CLIP's own vocabulary of {CLIP_VOCABULARY:,}"
            )
        return TextTowerPlan(blueprint, partial(ClipTokens, context, settings.get("clean", "lower")))
    if text.get("tokenizer_mode"):
        raise UnusableFolder(f"{OPEN_CLIP_CONFIG}: text_cfg.tokenizer_mode is not supported by this version")
    make_tokens = partial(
        read_file_tokens,
        files,
        context=context,
        vocabulary=vocabulary,
        clean=settings.get("clean", "whitespace"),
        zero_separator=settings.get("strip_sep_token", False),
    )
    return TextTowerPlan(blueprint, make_tokens)


def build_clip_image(width: int, vision: dict[str, Any], quick_gelu: bool) -> nn.Module:
    """Build an image tower of open_clip's from the arguments of its CLIPVisionCfg."""
    network: nn.Module = open_clip.CustomTextCLIP(width, vision, _SMALLEST_TEXT, quick_gelu=quick_gelu).visual
    return network


def build_clip_text(width: int, text: dict[str, Any], quick_gelu: bool) -> nn.Module:
    """Build a text tower of open_clip's from the arguments of its CLIPTextCfg."""
    network: nn.Module = open_clip.CustomTextCLIP(width, _SMALLEST_VISION, text, quick_gelu=quick_gelu).text
    return network


def _rename_text(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    own = {name.removeprefix("text."): tensor for name, tensor in tensors.items() if name.startswith("text.")}
    return own or dict(tensors)


def _edge(size: int | list[int]) -> int:
    edges = {size} if isinstance(size, int) else set(size)
    if len(edges) > 1:
        raise UnusableFolder(f"{OPEN_CLIP_CONFIG}: vision_cfg.image_size is {size}; only squares are supported")
    return edges.pop()


def _three(value: Any, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if value is None:
        return default
    red, green, blue = value if isinstance(value, list) else [value] * 3
    return float(red), float(green), float(blue)


def _colour(value: int | list[int]) -> tuple[int, int, int]:
    red, green, blue = value if isinstance(value, list) else [value] * 3
    return red, green, blue
