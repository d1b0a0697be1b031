"""Blocks as reportlab's flowables."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab import platypus
from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable

from selection_job.report.blocks import blocks
from selection_job.report.blocks.blocks import LINE_BREAK, Block, Cell, Run
from selection_job.report.pdf import style
from selection_job.report.plots.drawing import FAINT, MUTED
from selection_job.report.plots.fonts import LATIN, split_by_font


def lay_out(content: Iterable[Block]) -> list[Flowable]:
    """Return the blocks as flowables."""
    return [flowable for block in content for flowable in _PRINTERS[type(block)](block)]


def _print_heading(one: blocks.Heading) -> list[Flowable]:
    return [platypus.Paragraph(_mark_fonts(one.text), style.HEADINGS[one.level])]


def _print_paragraph(one: blocks.Paragraph) -> list[Flowable]:
    return [platypus.Paragraph("".join(map(_print_run, one.runs)), style.LOOKS[one.look])]


def _print_run(run: Run) -> str:
    if run == LINE_BREAK:
        return "<br/>"
    text = _mark_fonts(run.text)
    if run.is_bold:
        text = f"<b>{text}</b>"
    color = f' color="{MUTED}"' if run.is_muted else ""
    size = f' size="{run.size:g}"' if run.size is not None else ""
    return f"<font{color}{size}>{text}</font>" if color or size else text


def _mark_fonts(text: str) -> str:
    """Return text as reportlab's markup: '<' and '&' are letters, each run has a font that can draw it."""
    return "".join(
        escape(run) if font == LATIN else f'<font name="{style.PDF_FONTS[font]}">{escape(run)}</font>'
        for font, run in split_by_font(text)
    )


def _print_picture(one: blocks.Picture, align: str = "LEFT") -> list[Flowable]:
    source = str(one.source) if isinstance(one.source, Path) else io.BytesIO(one.source)
    return [platypus.Image(source, width=one.width, height=one.height, hAlign=align)]


def _print_figure(one: blocks.Figure) -> list[Flowable]:
    (drawn,) = _print_picture(one.plot, "CENTER")
    drawn.keepWithNext = 1
    return [drawn, *_print_paragraph(one.caption)]


def _print_bar(one: blocks.Bar) -> list[Flowable]:
    drawn, left = Drawing(one.width, one.height + one.room_above), 0.0
    edge = {"strokeColor": style.WHITE, "strokeWidth": one.edge} if one.edge else {"strokeColor": None}
    for length, color in one.parts:
        drawn.add(Rect(left, 0, length, one.height, fillColor=HexColor(color), **edge))
        left += length
    return [drawn]


class _BoxedPicture(Flowable):  # type: ignore[misc]  # reportlab has no types
    def __init__(self, block: blocks.BoxedPicture) -> None:
        super().__init__()
        self._block, self.width, self.height = block, block.width, block.height

    def draw(self) -> None:
        """Draw at the origin, as reportlab asks for."""
        if self._block.content is None:
            self.canv.setFillColor(HexColor(FAINT))
            self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        else:
            self.canv.drawImage(ImageReader(io.BytesIO(self._block.content)), 0, 0, self.width, self.height)
        for left, top, wide, high in self._block.boxes:
            for color, points in blocks.BOX_LINES:
                self.canv.setStrokeColor(HexColor(color))
                self.canv.setLineWidth(points)
                self.canv.rect(left, self.height - top - high, wide, high, stroke=1, fill=0)


def _print_table(one: blocks.Table) -> list[Flowable]:
    n_columns = len(one.widths)
    cells = [[*map(_print_cell, row), *[[]] * (n_columns - len(row))] for row in one.rows]
    drawn = _make_table(cells, one.widths, style.TABLE, repeatRows=one.n_head_rows)
    drawn.setStyle([("SPAN", (0, i), (-1, i)) for i, row in enumerate(one.rows) if len(row) < n_columns])
    return [drawn]


def _print_grid(one: blocks.Grid) -> list[Flowable]:
    n_columns = len(one.widths)
    cells = [*map(_print_cell, one.cells), *[""] * (-len(one.cells) % n_columns)]
    rows = [cells[start : start + n_columns] for start in range(0, len(cells), n_columns)]
    heights = None if one.row_height is None else [one.row_height] * len(rows)
    return [_make_table(rows, one.widths, style.SPACED if one.is_spaced else style.PLAIN, rowHeights=heights)]


def _print_cell(cell: Cell) -> list[Flowable]:
    return lay_out(cell if isinstance(cell, tuple) else (cell,))


def _make_table(cells: list[list[Any]], widths: tuple[float, ...], look: Any, **options: Any) -> Any:
    return platypus.Table(cells, colWidths=list(widths), style=look, hAlign="LEFT", **options)


def _print_break(one: blocks.PageBreak) -> list[Flowable]:
    return [platypus.PageBreak() if one.needed is None else platypus.CondPageBreak(one.needed)]


_PRINTERS: dict[type[Block], Callable[[Any], list[Flowable]]] = {
    blocks.Heading: _print_heading,
    blocks.Paragraph: _print_paragraph,
    blocks.Picture: _print_picture,
    blocks.BoxedPicture: lambda one: [_BoxedPicture(one)],
    blocks.Figure: _print_figure,
    blocks.Bar: _print_bar,
    blocks.Table: _print_table,
    blocks.Grid: _print_grid,
    blocks.Space: lambda one: [platypus.Spacer(1, one.height)],
    blocks.PageBreak: _print_break,
    blocks.KeepTogether: lambda one: [platypus.KeepTogether(lay_out(one.blocks))],
    blocks.Maps: lambda one: lay_out(one.drawn),
}
