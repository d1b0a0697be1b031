"""Makers of blocks: text from anywhere made safe to show, tables, grids of pictures."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from selection_job.report.blocks.blocks import (
    MM,
    TEXT_WIDTH,
    Bar,
    Block,
    Cell,
    Figure,
    Grid,
    Heading,
    KeepTogether,
    Level,
    Look,
    Paragraph,
    Picture,
    Run,
    Space,
    Table,
)
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import drawable, shorten

NAME_LENGTH = 150
"""Letters of a file name that are shown; longer ones lose their middle, report.json has them whole."""

CAPTION_LENGTH = 48
"""Letters below a picture in a grid."""

PLOT_WIDTH = 152 * MM

_SPACES = re.compile(" +")


def shown(text: object, most: int = 2000) -> str:
    """Return any text as pages show it: what no font can draw is escaped, two blanks in a row are kept as two."""
    kept = shorten(drawable(str(text)), most).replace("  ", "\u00a0 ")
    return _SPACES.sub(" ", kept).strip(" ")


def paragraph(text: object, look: Look = Look.BODY, most: int = 2000) -> Paragraph:
    """Return text from anywhere (names, notes, settings) as a paragraph."""
    return Paragraph((Run(shown(text, most)),), look)


def name(text: object, most: int = NAME_LENGTH) -> Paragraph:
    """Return a file name, or other text without spaces, as a paragraph that breaks anywhere."""
    return paragraph(text, Look.NAME, most)


def say(*runs: str | Run, look: Look = Look.BODY) -> Paragraph:
    """Return a sentence of ours as a paragraph, from its runs."""
    return Paragraph(tuple(Run(run) if isinstance(run, str) else run for run in runs), look)


def bold(text: str) -> Run:
    """Return a run of text in bold."""
    return Run(text, is_bold=True)


def section(title: str) -> Heading:
    """Return a section's heading."""
    return Heading(shown(title), Level.SECTION)


def subsection(title: str) -> Heading:
    """Return a heading inside a section. It may hold names: any letter is drawn or escaped, any length wraps."""
    return Heading(shown(title, NAME_LENGTH), Level.SUBSECTION)


def facts_table(rows: Sequence[tuple[str, object]]) -> Table:
    """Return a table of two columns: what, and its value."""
    cells = tuple((paragraph(what, Look.CELL_MUTED), name(value, 400)) for what, value in rows)
    return Table(cells, (38 * MM, TEXT_WIDTH - 38 * MM))


def table(
    head: Sequence[str], rows: Sequence[Sequence[Cell | str]], widths: Sequence[float], *, numbers: int = 0
) -> Table:
    """Return a table with a head; its last `numbers` columns are flush right. A cell is a block, blocks, or text."""
    n_words = len(head) - numbers
    looks = [*[Look.CELL] * n_words, *[Look.CELL_NUMBER] * numbers]
    head_looks = [*[Look.CELL_HEAD] * n_words, *[Look.CELL_HEAD_NUMBER] * numbers]
    cells = [_cells(head, head_looks), *(_cells(row, looks) for row in rows)]
    return Table(tuple(cells), tuple(widths), n_head_rows=1)


def _cells(row: Sequence[Cell | str], looks: Sequence[Look]) -> tuple[Cell, ...]:
    return tuple(
        paragraph(cell, look) if isinstance(cell, str) else cell for cell, look in zip(row, looks, strict=False)
    )


def bar(value: float, largest: float, width: float, color: str, height: float = 7) -> Bar:
    """Return a horizontal bar whose length shows value on a scale from 0 to largest."""
    length = max(0.8, width * value / largest) if largest > 0 else 0.8
    return Bar(width, height, ((length, color),))


def plot(path: Path, width: float) -> Picture:
    """Return a plot of the plots folder, scaled to a width."""
    with Image.open(path) as opened:
        return Picture(path, width, width * opened.height / opened.width)


def fit_picture(content: bytes, widest: float, highest: float) -> Picture:
    """Return a JPEG fitted into a box."""
    with Image.open(io.BytesIO(content)) as opened:
        scale = min(widest / opened.width, highest / opened.height)
        return Picture(content, opened.width * scale, opened.height * scale)


def captioned_plot(path: Path, caption: str, width: float = PLOT_WIDTH) -> Figure:
    """Return a plot of the plots folder with a line below it, which the PDF's search finds too."""
    return Figure(plot(path, width), paragraph(caption, Look.SMALL))


def say_rest(number: int, where: str) -> list[Block]:
    """Return a line that says how many more there are, and where; nothing where there are none."""
    return [paragraph(f"{number:,} more: see {where}.", Look.SMALL)] if number > 0 else []


def picture_grid(cells: Sequence[Cell], columns: int) -> Grid:
    """Return cells, one at least, in rows of `columns` over the width of the text, with room around each."""
    return Grid(tuple(cells), (TEXT_WIDTH / columns,) * columns, is_spaced=True)


def picture_grids(heading: Sequence[Block], cells: Sequence[Cell], columns: int) -> list[Block]:
    """Return a grid a row, which may lie on pages of their own; what stands above the first stays with it."""
    rows = [picture_grid(cells[start : start + columns], columns) for start in range(0, len(cells), columns)]
    return keep_heading(heading, rows)


def keep_heading(heading: Sequence[Block], rows: Sequence[Block]) -> list[Block]:
    """Return the rows below a heading that is never alone at the foot of a page."""
    return [KeepTogether((*heading, rows[0])), *rows[1:]]


def captioned(picture: Block, file_name: str, words: str = "") -> tuple[Block, ...]:
    """Return a picture with its file's name, and words, below it."""
    lines = [paragraph(file_name, Look.CAPTION, CAPTION_LENGTH)]
    if words:
        lines.append(paragraph(words, Look.CAPTION_WORDS, CAPTION_LENGTH))
    return (picture, Space(1 * MM), *lines)


def thumbnail_picture(thumbnail: Thumbnail, file_name: str, side: float) -> Block:
    """Return the image's thumbnail fitted into a square, or words where it can't be read any more."""
    content = thumbnail(file_name)
    return paragraph("no longer readable", Look.SMALL) if content is None else fit_picture(content, side, side)
