"""The section on objects: what was chosen on the object level, and examples of what a task or the detector found."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from selection_job.manifest.noun import IMAGE, OBJECT, Noun
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, BoxedPicture, Look, Picture, Space
from selection_job.report.blocks.parts import (
    captioned,
    captioned_plot,
    fit_picture,
    name,
    paragraph,
    picture_grids,
    section,
    subsection,
    table,
)
from selection_job.report.measures.value_sets import SETS
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.sections.selection import describe_strategies, say_candidates
from selection_job.report.wording import count, measure, plural, share

JsonObject = dict[str, Any]

MOST_CATEGORIES = 15
"""Categories of objects that are shown; report.json has up to 1000."""

MOST_PICTURES = 12
"""Pictures of bounding_boxes_examples that are shown; the folder has more."""

_COLUMNS = 5
_SIDE = TEXT_WIDTH / _COLUMNS - 4 * MM
_PICTURE_PX = 420


def make_object_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return what was chosen among the objects; nothing where the run selected whole images."""
    level = report.get("objectLevelInformation")
    if level is None:
        return []
    n_images = level["nImagesWithObjects"]
    words = (
        f"The run chose objects of the task, and keeps the images that hold them: {count(level['nSelected'])} of "
        f"{say_candidates(level, OBJECT)}; {IMAGE.count_with(n_images, 'have')} objects, exact copies included. The "
        f"farthest object from a chosen one has the distance {measure(level['coverRadius'])}, a typical one "
        f"{measure(level['coverMean'])}."
    )
    caption = "Share of each class: all that could be chosen, chosen ones, and a random choice of as many."
    return [
        section("Objects"),
        paragraph(words),
        *describe_strategies(level, OBJECT),
        *_categories(level),
        captioned_plot(plots / "objects.png", caption),
        Space(6 * MM),
    ]


def _categories(level: JsonObject) -> list[Block]:
    ranked = sorted(level["categories"], key=lambda one: -one["input"])
    shown = ranked[:MOST_CATEGORIES]
    rows: list[list[Block | str]] = [
        [name(one["name"], 80), *[count(one[which]) for which in SETS], share(one["selected"], one["input"])]
        for one in shown
    ]
    widths = [TEXT_WIDTH - 96 * MM, *[24 * MM] * 4]
    head = ["objects of class", "to choose from", "chosen", "random choice", "share chosen"]
    n_more = len(ranked) - len(shown)
    more = [paragraph(f"{count(n_more)} rarer classes in report.json.", Look.SMALL)] if n_more else []
    return [table(head, rows, widths, numbers=4), *more, Space(3 * MM)]


def make_box_examples(described: JsonObject, thumbnail: Thumbnail, noun: Noun) -> list[Block]:
    """Return the first selected images with what a task found on them; nothing for a task without boxes."""
    examples = described.get("detectionTaskInformation", {}).get("bboxExamples", [])
    if not examples:
        return []
    cells = [
        captioned(_draw_boxes(thumbnail, one), one["filename"], plural(one["nPredictions"], OBJECT)) for one in examples
    ]
    words = f"The first selected {noun.plural} with boxes, and what the task found on them."
    return picture_grids([paragraph(words)], cells, _COLUMNS)


def _draw_boxes(thumbnail: Thumbnail, example: JsonObject) -> BoxedPicture:
    content = thumbnail(example["filename"])
    picture = None if content is None else fit_picture(content, _SIDE, _SIDE)
    width, height = (_SIDE, 3 * (_SIDE / 4)) if picture is None else (picture.width, picture.height)
    return BoxedPicture(content, width, height, tuple(_list_boxes(example, width, height)))


def _list_boxes(example: JsonObject, width: float, height: float) -> Iterator[tuple[float, float, float, float]]:
    """Yield left, top, width and height of each box; none where the image's size is unknown."""
    if min(example["widthPx"], example["heightPx"]) <= 0:
        return
    scale_x, scale_y = width / example["widthPx"], height / example["heightPx"]
    for one in example["predictions"]:
        x, y, wide, high = one["bbox"]
        left, right = (min(max(edge * scale_x, 0.0), width) for edge in (x, x + wide))
        top, low = (min(max(edge * scale_y, 0.0), height) for edge in (y, y + high))
        yield left, top, right - left, low - top


def make_detector_pictures(folder: Path) -> list[Block]:
    """Return the pictures of data/bounding_boxes_examples, made small; nothing where the folder isn't there."""
    paths = sorted(folder.glob("*.jpg"))[:MOST_PICTURES] if folder.is_dir() else []
    if not paths:
        return []
    words = (
        "Images of the input with what the built-in detector found, its classes and scores. Wrong boxes here are wrong "
        "objects in every number above. data/bounding_boxes_examples/ has these in full size."
    )
    cells = [captioned(_small_picture(path), path.stem) for path in paths]
    return picture_grids([subsection("What the detector sees"), paragraph(words)], cells, 3)


def _small_picture(path: Path) -> Picture:
    """Return a picture at most 53 mm wide and 44 mm high; scaled down, so that twelve stay below half a megabyte."""
    with Image.open(path) as opened:
        rgb = opened.convert("RGB")
    rgb.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=80)
    return fit_picture(buffer.getvalue(), TEXT_WIDTH / 3 - 4 * MM, 44 * MM)
