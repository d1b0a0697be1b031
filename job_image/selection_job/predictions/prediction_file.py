"""Prediction files: what one JSON says about one image, checked against the task's schema."""

from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from selection_job.formats.json_reading import InvalidFile
from selection_job.predictions.json_decoding import decode_json
from selection_job.predictions.task_schema import TaskSchema

LARGEST_COORDINATE = 2.0**24
"""Pixels; below it float32 is exact to a pixel, and no image is larger."""
SUM_TOLERANCE = 0.01
"""By how much probabilities may miss a sum of 1: they are written with few digits."""
ROUNDING = 0.001
"""By how much a score, a probability or a confidence may miss the range of 0 to 1, and a box's size in pixels the 0:
what half precision rounds by. It counts as the end of the range."""
MOST_PIXELS = 2**40
"""Of a mask."""

Share = Annotated[float, Meta(ge=-ROUNDING, le=1 + ROUNDING)]
Coordinate = Annotated[float, Meta(ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]
Box = Annotated[list[Coordinate], Meta(min_length=4, max_length=4)]
Runs = Annotated[list[Annotated[int, Meta(ge=0, le=MOST_PIXELS)]], Meta(min_length=1)]
Keypoints = Annotated[list[Coordinate], Meta(min_length=3)]


# A score may be left out of each: labels have none, and are predictions without doubt.


class Classification(Struct, gc=False):
    """What a model took the whole image for."""

    category_id: int
    score: Share | None = None
    probabilities: list[Share] | None = None


class Detection(Struct, gc=False):
    """An object in a box of x, y, width and height in pixels."""

    category_id: int
    bbox: Box
    score: Share | None = None
    probabilities: list[Share] | None = None


class Segment(Struct, gc=False):
    """A region; segmentation is its mask row by row, in runs of zeros and ones in turn, zeros first."""

    category_id: int
    segmentation: Runs
    score: Share | None = None
    probabilities: list[Share] | None = None


class Instance(Struct, gc=False):
    """An object with a box and a mask."""

    category_id: int
    bbox: Box
    segmentation: Runs
    score: Share | None = None
    probabilities: list[Share] | None = None


class Pose(Struct, gc=False):
    """An object with keypoints: x, y and confidence of each in turn."""

    category_id: int
    keypoints: Keypoints
    bbox: Box | None = None
    score: Share | None = None
    probabilities: list[Share] | None = None


T = TypeVar("T")


class PredictionFile(Struct, Generic[T], gc=False):
    """A whole file. Keys that are not named here are not looked at; of a key given twice the last counts."""

    predictions: list[T]
    file_name: str | None = None


_DECODERS: dict[str, msgspec.json.Decoder[PredictionFile[Any]]] = {
    "classification": msgspec.json.Decoder(PredictionFile[Classification]),
    "object-detection": msgspec.json.Decoder(PredictionFile[Detection]),
    "semantic-segmentation": msgspec.json.Decoder(PredictionFile[Segment]),
    "instance-segmentation": msgspec.json.Decoder(PredictionFile[Instance]),
    "keypoint-detection": msgspec.json.Decoder(PredictionFile[Pose]),
}


@dataclass(frozen=True, slots=True)
class ImageObjects:
    """The objects of one image, checked."""

    file_name: str | None
    objects: list[Any]
    """Structs of the task's kind."""
    mask_pixels: int | None
    """What the runs of each mask add up to; None where there is no mask."""
    n_rounded: int = 0
    """How many numbers were out of range by no more than ROUNDING."""
    n_certain: int = 0
    """How many objects have neither score nor probabilities, and are no mere classification: labels, without doubt."""


def parse_file(content: bytes, schema: TaskSchema) -> ImageObjects:
    """Return what a file says. Raises InvalidFile with a reason that names the place in the file."""
    file = _decode(content, schema.kind)
    if schema.kind == "classification" and len(file.predictions) > 1:
        raise InvalidFile(f"a classification has one prediction an image; found {len(file.predictions)}")
    mask_pixels = None
    for i, found in enumerate(file.predictions):
        if reason := _find_fault(found, schema):
            raise InvalidFile(f"predictions[{i}].{reason}")
        if (runs := getattr(found, "segmentation", None)) is not None:
            pixels = sum(runs)
            if pixels != (mask_pixels := pixels if mask_pixels is None else mask_pixels):
                raise InvalidFile(
                    f"predictions[{i}].segmentation: its runs add up to {pixels} pixels, those of predictions[0] to "
                    f"{mask_pixels}; all masks of an image cover the whole image"
                )
    objects = [_clamp(found) for found in file.predictions]
    is_certain = [one.score is None and one.probabilities is None for one in file.predictions]
    n_certain = 0 if schema.kind == "classification" else sum(is_certain)
    return ImageObjects(
        file.file_name, [found for found, _ in objects], mask_pixels, sum(n for _, n in objects), n_certain
    )


def _decode(content: bytes, kind: str) -> PredictionFile[Any]:
    try:
        return decode_json(content, _DECODERS[kind])
    except InvalidFile as error:
        reason = str(error).replace(f"<= {1 + ROUNDING}", "<= 1.0").replace(f">= {-ROUNDING}", ">= 0.0")
        raise InvalidFile(reason) from None


def _clamp(found: Any) -> tuple[Any, int]:
    """Return the object with its numbers in range, and how many of them were not."""
    changes: dict[str, Any] = {}
    if found.score is not None and not 0 <= found.score <= 1:
        changes["score"] = min(max(found.score, 0.0), 1.0)
    if (shares := found.probabilities) is not None and (min(shares) < 0 or max(shares) > 1):
        changes["probabilities"] = [min(max(share, 0.0), 1.0) for share in shares]
    if (box := getattr(found, "bbox", None)) is not None and min(box[2:]) < 0:
        changes["bbox"] = [*box[:2], *(max(size, 0.0) for size in box[2:])]
    if (points := getattr(found, "keypoints", None)) is not None and (min(points[2::3]) < 0 or max(points[2::3]) > 1):
        changes["keypoints"] = [min(max(x, 0.0), 1.0) if i % 3 == 2 else x for i, x in enumerate(points)]
    return (msgspec.structs.replace(found, **changes), _count_differences(found, changes)) if changes else (found, 0)


def _count_differences(found: Any, changes: dict[str, Any]) -> int:
    pairs = [(getattr(found, key), value) for key, value in changes.items()]
    return sum(sum(a != b for a, b in zip(old, new, strict=True)) if isinstance(new, list) else 1 for old, new in pairs)


def _find_fault(found: Any, schema: TaskSchema) -> str | None:
    """Return what is wrong with an object, beginning with the key; None where nothing is."""
    if found.category_id not in schema.index_of_id:
        return f"category_id: {found.category_id} is not one of the schema's categories"
    if found.probabilities is not None and (reason := _find_in_probabilities(found.probabilities, schema)):
        return f"probabilities: {reason}"
    if (box := getattr(found, "bbox", None)) is not None and (reason := _find_in_box(box)):
        return f"bbox: {reason}"
    if (keypoints := getattr(found, "keypoints", None)) is not None:
        reason = _find_in_keypoints(keypoints, schema.n_keypoints[schema.index_of_id[found.category_id]])
        return reason and f"keypoints: {reason}"
    return None


def _find_in_probabilities(probabilities: list[float], schema: TaskSchema) -> str | None:
    if len(probabilities) != len(schema.categories):
        return f"expected {len(schema.categories)}, one a category by ascending id; found {len(probabilities)}"
    if abs(sum(probabilities) - 1) > SUM_TOLERANCE:
        return f"expected a sum of 1 (± {SUM_TOLERANCE}); found {sum(probabilities):.6g}"
    return None


def _find_in_box(box: list[float]) -> str | None:
    width, height = box[2:]
    if min(width, height) < -ROUNDING:
        return f"expected x, y, width, height with a size of 0 or more; found {width:g} x {height:g}"
    return None


def _find_in_keypoints(keypoints: list[float], n_expected: int | None) -> str | None:
    if len(keypoints) % 3:
        return f"expected x, y, confidence of each in turn; found {len(keypoints)} numbers, no multiple of 3"
    if n_expected is not None and len(keypoints) != 3 * n_expected:
        return f"expected {n_expected}, as the schema's keypoint_names; found {len(keypoints) // 3}"
    confidences = keypoints[2::3]
    if min(confidences) < -ROUNDING or max(confidences) > 1 + ROUNDING:
        odd = next(value for value in confidences if not -ROUNDING <= value <= 1 + ROUNDING)
        return f"expected confidences of 0 to 1; found {odd:g} (COCO's visibility 0, 1, 2 is none)"
    return None
