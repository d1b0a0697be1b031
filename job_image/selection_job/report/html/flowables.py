"""Flowables as HTML: what is printed on the PDF's pages, for a browser. One document, so both say the same."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.platypus import CondPageBreak, Flowable, Image, KeepTogether, PageBreak, Paragraph, Spacer, Table

from selection_job.report.pdf import style

_TAGS = {"title": "h1", "section": "h2", "subsection": "h3"}
_NUMBERS = {style.CELL_NUMBER.name, style.CELL_HEAD_NUMBER.name}
_SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg"}


class Canvas(Flowable):  # type: ignore[misc]
    """A place that only report.html fills, with markup of ours."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self._markup = markup

    def as_html(self) -> str:
        """Return the markup."""
        return self._markup


def print_html(flowables: Iterable[Flowable]) -> str:
    """Return the flowables as HTML. Text is escaped; raises TypeError for a kind that is not printed yet."""
    return "\n".join(part for part in _print_all(list(flowables)) if part)


def _print_all(flowables: Sequence[Any]) -> Iterator[str]:
    """Yield each flowable; a plot and the line below it become a figure."""
    is_caption = False
    for one, following in pairwise([*flowables, None]):
        if is_caption:
            is_caption = False
        elif isinstance(one, Image) and isinstance(following, Paragraph) and following.style is style.SMALL:
            caption = _print_frags(following)
            yield f"<figure>{_print_image(one, _plain(following))}<figcaption>{caption}</figcaption></figure>"
            is_caption = True
        else:
            yield _print(one)


def _print(one: Any) -> str:
    if isinstance(one, str):
        return escape(one)
    if hasattr(one, "as_html"):
        return str(one.as_html())
    for kind, printer in _PRINTERS.items():
        if isinstance(one, kind):
            return printer(one)
    raise TypeError(f"{type(one).__name__} has no form in HTML yet")


def _print_paragraph(one: Any) -> str:
    name = one.style.name
    tag = _TAGS.get(name, "p")
    marks = "" if tag != "p" else f' class="{name.replace(" ", "-")}"'
    return f"<{tag}{marks}>{_print_frags(one)}</{tag}>"


def _print_frags(one: Any) -> str:
    return "".join(_print_frag(frag, one.style) for frag in one.frags)


def _print_frag(frag: Any, look: Any) -> str:
    if getattr(frag, "lineBreak", False):
        return "<br>"
    text = escape(frag.text)
    if frag.fontName == style.BOLD_FONT and look.fontName != style.BOLD_FONT:
        text = f"<b>{text}</b>"
    return f"<small>{text}</small>" if frag.fontSize < look.fontSize else text


def _plain(one: Any) -> str:
    return "".join(getattr(frag, "text", "") for frag in one.frags)


def _print_image(one: Any, words: str) -> str:
    kind = next(kind for signature, kind in _SIGNATURES.items() if one.content.startswith(signature))
    look = "plot" if kind == "png" else "thumbnail"
    data = b64encode(one.content).decode()
    return f'<img class="{look}" src="data:image/{kind};base64,{data}" alt="{escape(words)}">'


def _print_drawing(one: Any) -> str:
    """Return bars: rectangles whose origin is at the lower left."""
    parts = []
    for shape in one.contents:
        if not isinstance(shape, Rect):
            raise TypeError(f"{type(shape).__name__} has no form in HTML yet")
        x, y, width, height = (f"{value:.2f}" for value in (shape.x, one.height - shape.y - shape.height, shape.width,
                                                            shape.height))  # fmt: skip
        color = f"#{shape.fillColor.hexval()[2:]}"
        parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{color}"/>')
    box = f"0 0 {one.width:.2f} {one.height:.2f}"
    look = "wide" if one.width > style.TEXT_WIDTH / 2 else "bar"
    sizes = f'width="{one.width:.0f}" height="{one.height:.0f}"'
    frame = f'class="{look}" {sizes} viewBox="{box}" preserveAspectRatio="none" aria-hidden="true"'
    return f"<svg {frame}>{''.join(parts)}</svg>"


def _print_table(one: Any) -> str:
    """Return a table with lines as a table, and one without as a row of blocks that wraps on a narrow screen."""
    rows = one._cellvalues
    if not one._linecmds:
        return "".join(_print_blocks(row) for row in rows)
    spans = {start[1] for _, start, _ in one._spanCmds}
    head = one.repeatRows if isinstance(one.repeatRows, int) else 0
    lines = [_print_row(row, is_head=i < head, is_whole=i in spans) for i, row in enumerate(rows)]
    return f'<div class="scrolled"><table>{"".join(lines)}</table></div>'


def _print_row(row: Sequence[Any], *, is_head: bool, is_whole: bool) -> str:
    tag = "th" if is_head else "td"
    if is_whole:
        return f'<tr><td colspan="{len(row)}">{_print_cell(row[0])}</td></tr>'
    cells = (f"<{tag}{_look_of(cell)}>{_print_cell(cell)}</{tag}>" for cell in row)
    return f"<tr>{''.join(cells)}</tr>"


def _look_of(cell: Any) -> str:
    return ' class="number"' if isinstance(cell, Paragraph) and cell.style.name in _NUMBERS else ""


def _print_blocks(row: Sequence[Any]) -> str:
    blocks = "".join(f"<div>{_print_cell(cell)}</div>" for cell in row if cell != "")
    return f'<div class="blocks" data-columns="{len(row)}">{blocks}</div>'


def _print_cell(cell: Any) -> str:
    if isinstance(cell, list | tuple):
        return "".join(_print(part) for part in cell)
    return _print(cell)


_PRINTERS: dict[type[Flowable], Callable[[Any], str]] = {
    Paragraph: _print_paragraph,
    Table: _print_table,
    Image: lambda one: _print_image(one, ""),
    Drawing: _print_drawing,
    KeepTogether: lambda one: print_html(one._content),
    **dict.fromkeys((Spacer, PageBreak, CondPageBreak), lambda one: ""),
}
