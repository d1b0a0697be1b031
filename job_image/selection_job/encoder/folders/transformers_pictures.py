"""How transformers makes pictures ready for a network: preprocessor_config.json, and what it leaves to its class."""

from dataclasses import dataclass
from typing import Any

from selection_job.encoder.folders.config_rules import (
    ANYTHING,
    Rules,
    check_fields,
    either,
    integer,
    list_of,
    number,
    one_of,
)
from selection_job.encoder.folders.folder_files import PREPROCESSOR, FolderFiles
from selection_job.encoder.folders.unusable_folder import UnusableFolder
from selection_job.images.preprocessing import Preprocessing

_Three = tuple[float, float, float]
_IMAGENET: tuple[_Three, _Three] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF: tuple[_Three, _Three] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_CLIP: tuple[_Three, _Three] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_SQUARE = {"height": 224, "width": 224}
_CROPPED = {"do_center_crop": True, "crop_size": _SQUARE}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vit": {"size": _SQUARE, "resample": 2, "image_mean": _HALF[0], "image_std": _HALF[1]},
    "siglip": {"size": _SQUARE, "resample": 3, "image_mean": _HALF[0], "image_std": _HALF[1]},
    "dinov3_vit": {"size": _SQUARE, "resample": 2, "image_mean": _IMAGENET[0], "image_std": _IMAGENET[1]},
    "clip": {
        **_CROPPED,
        "size": {"shortest_edge": 224},
        "resample": 3,
        "image_mean": _CLIP[0],
        "image_std": _CLIP[1],
    },
    "dinov2": {
        **_CROPPED,
        "size": {"shortest_edge": 256},
        "resample": 3,
        "image_mean": _IMAGENET[0],
        "image_std": _IMAGENET[1],
    },
}
_DEFAULTS["dinov2_with_registers"] = _DEFAULTS["dinov2"]
_EDGE = integer(16, 2048)
_SIZE: Rules = {"height": _EDGE, "width": _EDGE, "shortest_edge": _EDGE}
_RULES: Rules = {
    "do_resize": one_of(True, None),
    "do_rescale": one_of(True, None),
    "do_normalize": one_of(True, None),
    "do_center_crop": one_of(True, False, None),
    "rescale_factor": number(1 / 255 - 1e-6, 1 / 255 + 1e-6),
    "resample": integer(0, 3),
    "image_mean": either(list_of(number(-10, 10), 3)),
    "image_std": either(list_of(number(1e-6, 100), 3)),
    "size": ANYTHING,
    "crop_size": ANYTHING,
}


@dataclass(frozen=True)
class Pictures:
    """How pictures become a network's input."""

    preprocessing: Preprocessing
    mean: _Three
    std: _Three


def read_pictures(files: FolderFiles, kind: str) -> Pictures:
    """Read preprocessor_config.json; what it does not say is as the model's type has it. Raises UnusableFolder."""
    config = files.read_object(PREPROCESSOR)
    rules = {**dict.fromkeys(config, ANYTHING), **_RULES}
    given = {key: value for key, value in check_fields(config, rules, PREPROCESSOR).items() if value is not None}
    settings = {**_DEFAULTS[kind], **given}
    interpolation = _INTERPOLATIONS[settings["resample"]]
    edges = _read_size(settings["size"], "size")
    mean, std = _three(settings["image_mean"]), _three(settings["image_std"])
    if not settings.get("do_center_crop"):
        if "height" not in edges:
            raise UnusableFolder(
                f"{PREPROCESSOR}: size is a shortest edge and nothing is cut: only squares are supported"
            )
        return Pictures(Preprocessing(edges["height"], interpolation=interpolation), mean, std)
    size_px = _read_size(settings.get("crop_size", settings["size"]), "crop_size")["height"]
    short_px = edges.get("shortest_edge", edges.get("height", size_px))
    if short_px < size_px:
        raise UnusableFolder(f"{PREPROCESSOR}: size {short_px} is smaller than crop_size {size_px}")
    # the millionth lets the quotient of the two come out as the edge that it was
    share = size_px / (short_px + 1e-6)
    resize = "SQUASH" if "height" in edges else "CROP"
    preprocessing = Preprocessing(
        size_px,
        resize=resize,  # type: ignore[arg-type]
        interpolation=interpolation,
        crop_share=share,
    )
    return Pictures(preprocessing, mean, std)


def _read_size(value: Any, key: str) -> dict[str, int]:
    """Return the edges, as 'height' of a square or as 'shortest_edge'; a number alone is either."""
    place = f"{PREPROCESSOR}: {key}"
    if isinstance(value, int):
        value = {"shortest_edge": value} if key == "size" else {"height": value, "width": value}
    edges = check_fields(value, _SIZE, place)
    if edges.get("height") != edges.get("width") or not edges:
        raise UnusableFolder(f"{place} is no square; only squares are supported")
    if key == "crop_size" and "height" not in edges:
        raise UnusableFolder(f"{place} has no height")
    return edges


def _three(value: Any) -> _Three:
    red, green, blue = value
    return float(red), float(green), float(blue)
