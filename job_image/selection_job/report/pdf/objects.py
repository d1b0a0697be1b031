"""The PDF's part on objects: what was chosen on the object level, and examples of what a task or the detector found."""

import io
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, Spacer

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import captioned, captioned_plot, name, picture_grid, section, subsection, table
from selection_job.report.pdf.selection import describe_strategies
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import count, measure, plural, share

JsonObject = dict[str, Any]

MOST_CATEGORIES = 15
"""Categories of objects in the PDF; report.json has up to 1000."""

MOST_PICTURES = 12
"""Pictures of bounding_boxes_examples in the PDF; the folder has more."""

_SETS = ("input", "selected", "random")
_COLUMNS = 5
_SIDE = style.TEXT_WIDTH / _COLUMNS - 4 * mm
_PICTURE_PX = 420
_BOX = HexColor("#d55e00")


def make_object_section(report: JsonObject, plots: Path) -> list[Flowable]:
    """Return what was chosen among the objects; nothing where the run selected whole images."""
    level = report.get("objectLevelInformation")
    if level is None:
        return []
    words = (
        f"The run chose objects of the task, and keeps the images that hold them: {count(level['nSelected'])} of "
        f"{plural(level['nCandidates'], 'object')} on {plural(level['nImagesWithObjects'], 'image')}. The "
        f"farthest object from a chosen one has the distance {measure(level['coverRadius'])}, a typical one "
        f"{measure(level['coverMean'])}."
    )
    return [
        section("Objects"),
        Paragraph(words, style.BODY),
        *describe_strategies(level, "object"),
        *_categories(level),
        *captioned_plot(
            plots / "objects.png",
            152 * mm,
            "Share of each class: all objects, chosen ones, and a random choice of as many.",
        ),
        Spacer(1, 6 * mm),
    ]


def _categories(level: JsonObject) -> list[Flowable]:
    ranked = sorted(level["categories"], key=lambda one: -one["input"])
    shown = ranked[:MOST_CATEGORIES]
    rows = [
        [name(one["name"], 80), *[count(one[which]) for which in _SETS], share(one["selected"], one["input"])]
        for one in shown
    ]
    widths = [style.TEXT_WIDTH - 96 * mm, *[24 * mm] * 4]
    head = ["objects of class", "all", "chosen", "random choice", "share chosen"]
    n_more = len(ranked) - len(shown)
    more = [Paragraph(f"{count(n_more)} rarer classes in report.json.", style.SMALL)] if n_more else []
    return [table(head, rows, widths, numbers=4), *more, Spacer(1, 3 * mm)]


def make_box_examples(described: JsonObject, thumbnail: Thumbnail, noun: str = "image") -> list[Flowable]:
    """Return the first selected images with what a task found on them; nothing for a task without boxes."""
    examples = described.get("detectionTaskInformation", {}).get("bboxExamples", [])
    if not examples:
        return []
    cells = [
        captioned(_BoxedThumbnail(thumbnail, one), one["filename"], plural(one["nPredictions"], "object"))
        for one in examples
    ]
    words = f"The first selected {noun}s with boxes, and what the task found on them."
    rows = [picture_grid(cells[start : start + _COLUMNS], _COLUMNS) for start in range(0, len(cells), _COLUMNS)]
    return [KeepTogether([Paragraph(words, style.BODY), rows[0]]), *rows[1:]]


_LINES = ((style.WHITE, 1.8), (_BOX, 0.9))  # seen on any picture


class _BoxedThumbnail(Flowable):  # type: ignore[misc]  # reportlab has no types
    """A thumbnail with the boxes of report.json drawn on it; a grey field where the image is gone."""

    def __init__(self, thumbnail: Thumbnail, example: JsonObject) -> None:
        super().__init__()
        self._content, self._example = thumbnail(example["filename"]), example
        wide, high = ImageReader(io.BytesIO(self._content)).getSize() if self._content else (4, 3)
        scale = _SIDE / max(wide, high)
        self.width, self.height = wide * scale, high * scale

    def draw(self) -> None:
        """Draw at the origin, as reportlab asks for. Boxes of an image of unknown size are left out."""
        if self._content is None:
            self.canv.setFillColor(style.FAINT)
            self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        else:
            self.canv.drawImage(ImageReader(io.BytesIO(self._content)), 0, 0, self.width, self.height)
        self._draw_boxes()

    def as_html(self) -> str:
        """Return the same as SVG, for report.html."""
        field = f'<rect width="{self.width:.2f}" height="{self.height:.2f}" fill="#{style.FAINT.hexval()[2:]}"/>'
        if self._content is not None:
            data = b64encode(self._content).decode()
            field = f'<image width="{self.width:.2f}" height="{self.height:.2f}" href="data:image/jpeg;base64,{data}"/>'
        lines = [
            f'<rect x="{left:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{high:.2f}" fill="none" '
            f'stroke="#{colour.hexval()[2:]}" stroke-width="{points}"/>'
            for left, top, wide, high in self._list_boxes()
            for colour, points in _LINES
        ]
        return f'<svg class="picture" viewBox="0 0 {self.width:.2f} {self.height:.2f}">{field}{"".join(lines)}</svg>'

    def _draw_boxes(self) -> None:
        for left, top, wide, high in self._list_boxes():
            for colour, points in _LINES:
                self.canv.setStrokeColor(colour)
                self.canv.setLineWidth(points)
                self.canv.rect(left, self.height - top - high, wide, high, stroke=1, fill=0)

    def _list_boxes(self) -> Iterator[tuple[float, float, float, float]]:
        """Yield left, top, width and height of each box in points; none where the image's size is unknown."""
        if min(self._example["widthPx"], self._example["heightPx"]) <= 0:
            return
        scale_x, scale_y = self.width / self._example["widthPx"], self.height / self._example["heightPx"]
        for one in self._example["predictions"]:
            x, y, wide, high = one["bbox"]
            left, right = _clip(x * scale_x, self.width), _clip((x + wide) * scale_x, self.width)
            top, low = _clip(y * scale_y, self.height), _clip((y + high) * scale_y, self.height)
            yield left, top, right - left, low - top


def _clip(value: float, largest: float) -> float:
    return min(max(value, 0.0), largest)


def make_detector_pictures(folder: Path) -> list[Flowable]:
    """Return the pictures of data/bounding_boxes_examples, made small; nothing where the folder isn't there."""
    paths = sorted(folder.glob("*.jpg"))[:MOST_PICTURES] if folder.is_dir() else []
    if not paths:
        return []
    words = (
        "Images of the input with what the built-in detector found, its classes and scores. Wrong boxes here are wrong "
        "objects in every number above. data/bounding_boxes_examples/ has these in full size."
    )
    cells = [captioned(_small_picture(path), path.stem) for path in paths]
    rows = [picture_grid(cells[start : start + 3], 3) for start in range(0, len(cells), 3)]
    first = KeepTogether([subsection("What the detector sees"), Paragraph(words, style.BODY), rows[0]])
    return [first, *rows[1:]]


def _small_picture(path: Path) -> Image:
    """Return a picture at most 53 mm wide and 44 mm high; scaled down, so that twelve stay below half a megabyte."""
    with Picture.open(path) as opened:
        rgb = opened.convert("RGB")
    rgb.thumbnail((_PICTURE_PX, _PICTURE_PX), Picture.Resampling.LANCZOS)
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=80)
    scale = min((style.TEXT_WIDTH / 3 - 4 * mm) / rgb.width, 44 * mm / rgb.height)
    drawn = Image(buffer, width=rgb.width * scale, height=rgb.height * scale, hAlign="LEFT")
    drawn.content = buffer.getvalue()
    return drawn
