"""The PDF's building blocks: safe text, headings with bookmarks, tables, pictures."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import Color
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, Paragraph, Spacer, Table

from selection_job.report.pdf import style
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import drawable, shorten, split_by_font

NAME_LENGTH = 150
"""Letters of a file name that are shown; longer ones lose their middle, report.json has them whole."""


CAPTION_LENGTH = 48
"""Letters below a picture in a grid."""


def markup(text: object, most: int = 2000) -> str:
    """Return any text as a Paragraph's markup: '<' and '&' are letters, each run has a font that can draw it."""
    shown = shorten(drawable(str(text)), most).replace("  ", "\u00a0 ")
    runs = split_by_font(shown)
    return "".join(
        escape(run) if font == "DejaVu Sans" else f'<font name="{style.PDF_FONTS[font]}">{escape(run)}</font>'
        for font, run in runs
    )


def paragraph(text: object, look: ParagraphStyle = style.BODY) -> Paragraph:
    """Return text from anywhere (names, notes, settings) as a paragraph."""
    return Paragraph(markup(text), look)


def name(text: object, most: int = NAME_LENGTH) -> Paragraph:
    """Return a file name, or other text without spaces, as a paragraph that breaks anywhere."""
    return Paragraph(markup(text, most), style.NAME)


def section(title: str) -> Paragraph:
    """Return a section's heading; the document bookmarks it."""
    return Paragraph(escape(title), style.SECTION)


def subsection(title: str) -> Paragraph:
    """Return a heading inside a section. It may hold names: any letter is drawn or escaped, any length wraps."""
    return Paragraph(markup(title, NAME_LENGTH), style.SUBSECTION)


def facts_table(rows: Sequence[tuple[str, object]], width: float = style.TEXT_WIDTH) -> Table:
    """Return a table of two columns: what, and its value."""
    cells = [[Paragraph(escape(what), style.CELL_MUTED), name(value, 400)] for what, value in rows]
    return Table(cells, colWidths=[38 * mm, width - 38 * mm], style=style.TABLE, hAlign="LEFT")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], widths: Sequence[float], *, numbers: int = 0) -> Table:
    """Return a table with a head that repeats on each page; its last `numbers` columns are flush right.

    A cell is a flowable, or text.
    """
    first_number = len(head) - numbers
    looks = [style.CELL if i < first_number else style.CELL_NUMBER for i in range(len(head))]
    head_looks = [style.CELL_HEAD if i < first_number else style.CELL_HEAD_NUMBER for i in range(len(head))]
    cells = [_cells(head, head_looks), *(_cells(row, looks) for row in rows)]
    return Table(cells, colWidths=list(widths), style=style.TABLE, repeatRows=1, hAlign="LEFT")


def _cells(row: Sequence[Any], looks: Sequence[ParagraphStyle]) -> list[Flowable]:
    return [
        cell if isinstance(cell, Flowable) else paragraph(cell, look) for cell, look in zip(row, looks, strict=True)
    ]


def bar(value: float, largest: float, width: float, color: Color, height: float = 7) -> Drawing:
    """Return a horizontal bar whose length shows value on a scale from 0 to largest."""
    drawn = Drawing(width, height)
    length = max(0.8, width * value / largest) if largest > 0 else 0.8
    drawn.add(Rect(0, 0, length, height, fillColor=color, strokeColor=None))
    return drawn


def plot(path: Path, width: float) -> Image:
    """Return a plot of the plots folder, scaled to a width."""
    pixels_wide, pixels_high = ImageReader(str(path)).getSize()
    drawn = Image(str(path), width=width, height=width * pixels_high / pixels_wide)
    drawn.content = path.read_bytes()  # for report.html
    return drawn


def captioned_plot(path: Path, width: float, caption: str) -> list[Flowable]:
    """Return a plot with a line below it that says what is seen, which the PDF's search finds too."""
    drawn = plot(path, width)
    drawn.keepWithNext = 1
    return [drawn, Paragraph(markup(caption), style.SMALL)]


def say_rest(number: int, where: str) -> list[Flowable]:
    """Return a line that says how many more there are, and where; nothing where there are none."""
    return [Paragraph(f"{number:,} more: see {where}.", style.SMALL)] if number > 0 else []


def picture_grid(cells: Sequence[list[Flowable]], columns: int) -> Table:
    """Return cells, one at least, in rows of `columns` over the width of the text; the last row may be shorter."""
    rows: list[list[Any]] = [list(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    rows[-1] += [""] * (columns - len(rows[-1]))
    return Table(rows, colWidths=[style.TEXT_WIDTH / columns] * columns, style=style.GRID, hAlign="LEFT")


def captioned(picture: Flowable, file_name: str, words: str = "") -> list[Flowable]:
    """Return a picture with its file's name, and words, below it."""
    lines = [Paragraph(markup(file_name, CAPTION_LENGTH), style.CAPTION)]
    if words:
        lines.append(Paragraph(markup(words, CAPTION_LENGTH), style.CAPTION_WORDS))
    return [picture, Spacer(1, 1 * mm), *lines]


def thumbnail_image(thumbnail: Thumbnail, file_name: str, side: float) -> Flowable:
    """Return the image's thumbnail fitted into a square, or words where it can't be read any more."""
    content = thumbnail(file_name)
    if content is None:
        return Paragraph("no longer readable", style.SMALL)
    pixels_wide, pixels_high = ImageReader(io.BytesIO(content)).getSize()
    scale = side / max(pixels_wide, pixels_high)
    drawn = Image(io.BytesIO(content), width=pixels_wide * scale, height=pixels_high * scale, hAlign="LEFT")
    drawn.content = content
    return drawn
