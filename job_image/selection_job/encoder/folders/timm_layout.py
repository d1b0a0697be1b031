"""timm's layout: config.json with the architecture's name, its arguments and how pictures are made ready.

Older files are one flat object. Keys that neither timm nor we look at are passed over, but an argument of the network
that nobody has thought of is refused.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn

from selection_job.encoder.folders.blueprint import Blueprint, FolderPlan, ImageTower
from selection_job.encoder.folders.config_rules import (
    BOOLEAN,
    NAME,
    NULL,
    Rule,
    Rules,
    check_fields,
    either,
    integer,
    list_of,
    number,
    one_of,
)
from selection_job.encoder.folders.folder_files import CONFIG
from selection_job.encoder.folders.timm_names import check_architecture
from selection_job.encoder.folders.unusable_folder import UnusableFolder
from selection_job.images.preprocessing import Preprocessing, Resize

NO_TEXT = f"{CONFIG} is that of an image model of timm: it has no text tower. Texts need a CLIP or a SigLIP"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RESIZES: dict[str, Resize] = {"center": "CROP", "border": "PAD", "squash": "SQUASH"}
_SHARE = either(NULL, number(0, 1))
_SIZE = integer(16, 1024)
_ARGUMENTS: Rules = {
    "num_classes": either(NULL, integer(0, 1_000_000)),
    "in_chans": either(NULL, integer(3, 3)),
    "global_pool": either(NULL, NAME),
    "img_size": either(NULL, _SIZE, list_of(_SIZE, 2)),
    "patch_size": either(NULL, integer(1, 64), list_of(integer(1, 64), 2)),
    "embed_dim": either(integer(1, 8192), list_of(integer(1, 8192), 2, 3, 4, 5)),
    "depth": integer(1, 128),
    "depths": list_of(integer(1, 128), 3, 4, 5),
    "dims": list_of(integer(1, 8192), 3, 4, 5),
    "num_heads": either(integer(1, 128), list_of(integer(1, 128), 3, 4, 5)),
    "mlp_ratio": number(0.1, 16),
    "init_values": either(NULL, number(0, 10)),
    "qkv_bias": BOOLEAN,
    "qk_norm": BOOLEAN,
    "class_token": BOOLEAN,
    "pos_embed": one_of("learn", "none", ""),
    "no_embed_class": BOOLEAN,
    "reg_tokens": integer(0, 64),
    "num_reg_tokens": integer(0, 64),
    "pre_norm": BOOLEAN,
    "final_norm": BOOLEAN,
    "fc_norm": either(NULL, BOOLEAN),
    "use_fc_norm": either(NULL, BOOLEAN),
    "pool_include_prefix": BOOLEAN,
    "dynamic_img_size": BOOLEAN,
    "dynamic_img_pad": BOOLEAN,
    "strict_img_size": BOOLEAN,
    "window_size": either(integer(1, 64), list_of(integer(1, 64), 2)),
    "act_layer": either(NULL, one_of("gelu", "gelu_tanh", "quick_gelu", "relu", "silu", "hard_swish")),
    "output_stride": integer(8, 32),
    **dict.fromkeys(
        (
            "drop_rate",
            "pos_drop_rate",
            "patch_drop_rate",
            "proj_drop_rate",
            "attn_drop_rate",
            "drop_path_rate",
            "drop_block_rate",
        ),
        _SHARE,
    ),
}
_INPUT: dict[str, Rule] = {
    "input_size": list_of(integer(3, 1024), 3),
    "fixed_input_size": BOOLEAN,
    "interpolation": one_of("nearest", "bilinear", "bicubic", "lanczos", "random", ""),
    "crop_pct": number(0.1, 1),
    "crop_mode": one_of("center", "squash", "border", ""),
    "mean": list_of(number(-10, 10), 3),
    "std": list_of(number(1e-6, 100), 3),
    "pool_size": list_of(integer(1, 64), 2),
    "license": NAME,
}
"""What is read of pretrained_cfg; null is as if it was not there."""
_NEAR = 5
_FEW = 10
"""Tensors that tell nothing."""


def plan_timm(config: dict[str, Any]) -> FolderPlan:
    """Read config.json. Raises UnusableFolder that names the key which is wrong."""
    name = config["architecture"]
    if not isinstance(name, str):
        raise UnusableFolder(f"{CONFIG}: architecture is not a name")
    name = check_architecture(name, f"{CONFIG}: architecture")
    arguments = check_fields(config.get("model_args") or {}, _ARGUMENTS, f"{CONFIG}: model_args")
    arguments = {key: value for key, value in arguments.items() if key != "num_classes" and value is not None}
    given = config.get("pretrained_cfg", config)
    settings = _read_input(given)
    size_px = _find_size(arguments, settings)
    built: dict[str, Any] = {key: settings[key] for key in ("fixed_input_size", "pool_size") if key in settings}
    if arguments.get("dynamic_img_size") or arguments.get("strict_img_size") is False:
        built["fixed_input_size"] = False
    built["input_size"] = (3, size_px, size_px)
    identity = {"architecture": name, "arguments": arguments, "input": built}
    blueprint = Blueprint(
        architecture=name,
        identity=f"timm {json.dumps(identity, sort_keys=True)}",
        build=partial(_build, name, arguments, built),
        wanted=partial(_is_wanted, _classifiers(name)),
        rename=dict,
        heads=tuple(f"{name.partition('.')[0]}." for name in _classifiers(name)),
        advise=partial(_find_alike, name),
    )
    tower = ImageTower(
        blueprint,
        _make_preprocessing(settings, size_px),
        size_px,
        tuple(map(float, settings.get("mean", _MEAN))),  # type: ignore[arg-type]
        tuple(map(float, settings.get("std", _STD))),  # type: ignore[arg-type]
        licence=settings.get("license", ""),
    )
    return FolderPlan(tower, None, NO_TEXT)


def _read_input(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UnusableFolder(f"{CONFIG}: pretrained_cfg is not an object")
    known = {key: value for key, value in given.items() if key in _INPUT and value is not None}
    return check_fields(known, _INPUT, f"{CONFIG}: pretrained_cfg")


def _find_size(arguments: dict[str, Any], settings: dict[str, Any]) -> int:
    size = settings.get("input_size", [3, 224, 224])[1:]
    if arguments.get("img_size") is not None:
        size = arguments["img_size"]
    edges = {size} if isinstance(size, int) else set(size)
    if len(edges) > 1 or min(edges) < 16:
        raise UnusableFolder(f"{CONFIG}: the input is {size} pixels; only squares of 16 to 1,024 are supported")
    return edges.pop()


def _make_preprocessing(settings: dict[str, Any], size_px: int) -> Preprocessing:
    resize = _RESIZES[settings.get("crop_mode") or "center"]
    share = settings.get("crop_pct", 0.875)
    if resize == "PAD" and share != 1:
        raise UnusableFolder(f"{CONFIG}: pretrained_cfg.crop_pct is {share} with crop_mode 'border', expected 1")
    interpolation = settings.get("interpolation") or "bicubic"
    red, green, blue = (max(0, min(255, round(255 * value))) for value in settings.get("mean", _MEAN))
    return Preprocessing(
        size_px,
        resize=resize,
        interpolation="bicubic" if interpolation == "random" else interpolation,
        crop_share=share,
        fill=(red, green, blue),
    )


def _build(name: str, arguments: dict[str, Any], built: dict[str, Any]) -> nn.Module:
    default = timm.get_pretrained_cfg(name)
    first = {"first_conv": default.first_conv, "classifier": default.classifier} if default else {}
    return timm.create_model(  # type: ignore[no-any-return]
        name, pretrained=False, pretrained_cfg={"architecture": name, **first, **built}, num_classes=0, **arguments
    )


def _classifiers(name: str) -> tuple[str, ...]:
    """Return how the names of the tensors begin that sort into classes, which is not what is wanted here."""
    default = timm.get_pretrained_cfg(name)
    found = (default.classifier if default else None) or ()
    return tuple(f"{part}." for part in ((found,) if isinstance(found, str) else found))


def _is_wanted(classifiers: tuple[str, ...], name: str) -> bool:
    return not name.startswith(classifiers) if classifiers else True


def _find_alike(name: str, found: Mapping[str, Tensor]) -> str:
    """Return which of the architectures of a similar name has these shapes."""
    shapes = {key: tensor.shape for key, tensor in found.items()}
    if len(shapes) < _FEW:
        return ""
    for other in get_close_matches(name, [each for each in timm.list_models() if each != name], n=_NEAR):
        try:
            with torch.device("meta"):
                network = timm.create_model(other, pretrained=False, num_classes=0)
        except Exception:  # noqa: S112 -- it is a guess
            continue
        if {key: tensor.shape for key, tensor in network.state_dict().items() if key in shapes} == shapes:
            return f"; it looks like {other}"
    return ""
