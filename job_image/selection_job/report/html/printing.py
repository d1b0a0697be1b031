"""Blocks as HTML."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from selection_job.report.blocks import blocks
from selection_job.report.blocks.blocks import BOX_LINES, LINE_BREAK, TEXT_WIDTH, Block, Cell, Level, Look, Run
from selection_job.report.plots.drawing import FAINT

_BLANKS = re.compile(r"[^\S\u00a0]+")
_NUMBERS = {Look.CELL_NUMBER, Look.CELL_HEAD_NUMBER}


def print_page(content: Iterable[Block], live_maps: str) -> str:
    """Return the blocks as HTML; sections have ids from section-1 on. Text is escaped.

    live_maps  markup that stands for the drawn maps
    """
    return _join(_print_top(content, live_maps))


def _print_top(content: Iterable[Block], live_maps: str) -> Iterator[str]:
    n_sections = 0
    for block in content:
        if isinstance(block, blocks.Heading) and block.level == Level.SECTION:
            n_sections += 1
            yield f'<h2 id="section-{n_sections}">{_escape(block.text)}</h2>'
        else:
            yield live_maps if isinstance(block, blocks.Maps) else _print(block)


def _join(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)


def _print(one: Block) -> str:
    return _PRINTERS[type(one)](one)


def _escape(text: str) -> str:
    """Return text as markup; a blank of any width is a space, as it is on paper."""
    return escape(_BLANKS.sub(" ", text))


def _print_paragraph(one: blocks.Paragraph) -> str:
    return f'<p class="{one.look.replace(" ", "-")}">{_print_runs(one)}</p>'


def _print_runs(one: blocks.Paragraph) -> str:
    return "".join(map(_print_run, one.runs))


def _print_run(run: Run) -> str:
    if run == LINE_BREAK:
        return "<br>"
    text = f"<b>{_escape(run.text)}</b>" if run.is_bold else _escape(run.text)
    return f"<small>{text}</small>" if run.size is not None else text


def _print_picture(one: blocks.Picture, words: str = "") -> str:
    is_plot = isinstance(one.source, Path)
    content = one.source.read_bytes() if isinstance(one.source, Path) else one.source
    kind, look = ("png", "plot") if is_plot else ("jpeg", "thumbnail")
    return f'<img class="{look}" src="data:image/{kind};base64,{b64encode(content).decode()}" alt="{_escape(words)}">'


def _print_figure(one: blocks.Figure) -> str:
    picture = _print_picture(one.plot, one.caption.text)
    return f"<figure>{picture}<figcaption>{_print_runs(one.caption)}</figcaption></figure>"


def _print_boxed_picture(one: blocks.BoxedPicture) -> str:
    size = f'width="{one.width:.2f}" height="{one.height:.2f}"'
    field = f'<rect {size} fill="{FAINT}"/>'
    if one.content is not None:
        field = f'<image {size} href="data:image/jpeg;base64,{b64encode(one.content).decode()}"/>'
    lines = [
        f'<rect x="{left:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{high:.2f}" fill="none" '
        f'stroke="{color}" stroke-width="{points}"/>'
        for left, top, wide, high in one.boxes
        for color, points in BOX_LINES
    ]
    return f'<svg class="picture" viewBox="0 0 {one.width:.2f} {one.height:.2f}">{field}{"".join(lines)}</svg>'


def _print_bar(one: blocks.Bar) -> str:
    parts, left, height = [], 0.0, one.height + one.room_above
    for length, color in one.parts:
        place = f'x="{left:.2f}" y="{one.room_above:.2f}" width="{length:.2f}" height="{one.height:.2f}"'
        parts.append(f'<rect {place} fill="{color}"/>')
        left += length
    look = "wide" if one.width > TEXT_WIDTH / 2 else "bar"
    size, box = f'width="{one.width:.0f}" height="{height:.0f}"', f"0 0 {one.width:.2f} {height:.2f}"
    frame = f'class="{look}" {size} viewBox="{box}" preserveAspectRatio="none" aria-hidden="true"'
    return f"<svg {frame}>{''.join(parts)}</svg>"


def _print_table(one: blocks.Table) -> str:
    rows = [_print_row(row, len(one.widths), is_head=i < one.n_head_rows) for i, row in enumerate(one.rows)]
    return f'<div class="scrolled"><table>{"".join(rows)}</table></div>'


def _print_row(row: tuple[Cell, ...], n_columns: int, *, is_head: bool) -> str:
    if len(row) < n_columns:
        return f'<tr><td colspan="{n_columns}">{_print_cell(row[0])}</td></tr>'
    tag = "th" if is_head else "td"
    cells = (f"<{tag}{_look_of(cell)}>{_print_cell(cell)}</{tag}>" for cell in row)
    return f"<tr>{''.join(cells)}</tr>"


def _look_of(cell: Cell) -> str:
    return ' class="number"' if isinstance(cell, blocks.Paragraph) and cell.look in _NUMBERS else ""


def _print_cell(cell: Cell) -> str:
    return "".join(map(_print, cell)) if isinstance(cell, tuple) else _print(cell)


def _print_grid(one: blocks.Grid) -> str:
    """Return each row as blocks that wrap on a narrow screen."""
    n_columns = len(one.widths)
    cells = [f"<div>{_print_cell(cell)}</div>" for cell in one.cells]
    rows = ("".join(cells[start : start + n_columns]) for start in range(0, len(cells), n_columns))
    return "".join(f'<div class="blocks" data-columns="{n_columns}">{row}</div>' for row in rows)


_PRINTERS: dict[type[Block], Callable[[Any], str]] = {
    blocks.Heading: lambda one: f"<h{one.level:d}>{_escape(one.text)}</h{one.level:d}>",
    blocks.Paragraph: _print_paragraph,
    blocks.Picture: _print_picture,
    blocks.BoxedPicture: _print_boxed_picture,
    blocks.Figure: _print_figure,
    blocks.Bar: _print_bar,
    blocks.Table: _print_table,
    blocks.Grid: _print_grid,
    blocks.Space: lambda one: "",
    blocks.PageBreak: lambda one: "",
    blocks.KeepTogether: lambda one: _join(map(_print, one.blocks)),
}
