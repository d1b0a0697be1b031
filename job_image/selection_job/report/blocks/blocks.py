"""Blocks: what a page is made of, from a heading to a picture with boxes. Lengths are in points, text is plain.

Each printer prints every block in its own way, and leaves out what it has no use for: a screen has no page breaks.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

MM = 72 / 2.54 * 0.1
"""Points in a millimetre."""

TEXT_WIDTH = 210 * MM - 2 * (20 * MM)
"""Of A4 without its margins; a screen has its own."""


class Level(IntEnum):
    """Levels of headings."""

    TITLE = 1
    SECTION = 2
    SUBSECTION = 3


class Look(StrEnum):
    """Looks of paragraphs. CELL_NUMBER and CELL_HEAD_NUMBER are flush right; names break at any letter."""

    BODY = "body"
    LEAD = "lead"
    SMALL = "small"
    OVERLINE = "overline"
    CELL = "cell"
    CELL_MUTED = "cell muted"
    CELL_NUMBER = "cell number"
    CELL_HEAD = "cell head"
    CELL_HEAD_NUMBER = "cell head number"
    NAME = "name"
    CAPTION = "caption"
    CAPTION_WORDS = "caption words"
    TILE_NUMBER = "tile number"
    TILE_WORDS = "tile words"


@dataclass(frozen=True)
class Run:
    """A stretch of a paragraph's text."""

    text: str
    is_bold: bool = False
    is_muted: bool = False
    size: float | None = None
    """Of the letters, where it is smaller than the paragraph's."""


LINE_BREAK = Run("\n")


class Block:
    """A part of a page."""


Cell = Block | tuple[Block, ...]


@dataclass(frozen=True)
class Heading(Block):
    """A heading; those of sections are what a reader goes to: bookmarks of the PDF, links of the page."""

    text: str
    level: Level


@dataclass(frozen=True)
class Paragraph(Block):
    """Text in one look."""

    runs: tuple[Run, ...]
    look: Look = Look.BODY

    @property
    def text(self) -> str:
        """The text alone."""
        return "".join(run.text for run in self.runs)


@dataclass(frozen=True)
class Picture(Block):
    """A picture: a file of plots/, or a JPEG's content."""

    source: Path | bytes
    width: float
    height: float


@dataclass(frozen=True)
class BoxedPicture(Block):
    """A JPEG with boxes drawn on it; a grey field where the image is gone."""

    content: bytes | None
    width: float
    height: float
    boxes: tuple[tuple[float, float, float, float], ...]
    """Left, top, width and height of each."""


BOX_LINES = (("#ffffff", 1.8), ("#d55e00", 0.9))
"""Colour and width of the two lines of a box, which together are seen on any picture."""


@dataclass(frozen=True)
class Figure(Block):
    """A plot with a line below it that says what is seen."""

    plot: Picture
    caption: Paragraph


@dataclass(frozen=True)
class Bar(Block):
    """Coloured lengths in a row, from the left of a field of this width."""

    width: float
    height: float
    parts: tuple[tuple[float, str], ...]
    """Length and colour (#rrggbb) of each."""
    room_above: float = 0.0
    edge: float = 0.0
    """Width of the white line around each part."""


@dataclass(frozen=True)
class Table(Block):
    """Rows with a line below each; a row of one cell has it over the whole width. The head is seen on every page."""

    rows: tuple[tuple[Cell, ...], ...]
    widths: tuple[float, ...]
    n_head_rows: int = 0


@dataclass(frozen=True)
class Grid(Block):
    """Cells in rows without lines, as many in a row as there are widths; the last row may be shorter."""

    cells: tuple[Cell, ...]
    widths: tuple[float, ...]
    is_spaced: bool = False
    row_height: float | None = None


@dataclass(frozen=True)
class Space(Block):
    """Room on paper."""

    height: float


@dataclass(frozen=True)
class PageBreak(Block):
    """The end of a page of paper: always, or where less room is left than this."""

    needed: float | None = None


@dataclass(frozen=True)
class KeepTogether(Block):
    """Blocks that are not parted by the end of a page, if they fit on one."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Maps(Block):
    """The maps of all points: drawn ones on paper, a live one on a screen."""

    drawn: tuple[Block, ...]
