"""The section on queries: what was looked for, the images that fit best, and whether anything fits."""

from typing import Any

from selection_job.manifest.query import list_texts
from selection_job.report.blocks.blocks import MM, Block, KeepTogether, PageBreak, Space
from selection_job.report.blocks.parts import (
    bold,
    captioned,
    paragraph,
    picture_grid,
    say,
    section,
    shown,
    subsection,
    thumbnail_picture,
)
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import four_digits, noun_of

JsonObject = dict[str, Any]

_COLUMNS = 5
_SIDE = 30 * MM
_MOST_SENTENCES = 12


def make_query_section(report: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    """Return each query with the five images that have the largest values; nothing where there is none."""
    queries, noun = report.get("queries", []), noun_of(report)
    if not queries:
        return []
    words = (
        f"Each strategy on QUERIES with the {noun.plural} that have the largest values, whatever was selected. If "
        "these do not show what you look for, neither does the selection."
    )
    parts = [_describe(query, thumbnail) for query in _join_equal(queries)]
    return [section("What was looked for"), paragraph(words), *parts, PageBreak()]


def _join_equal(queries: list[JsonObject]) -> list[JsonObject]:
    """Return the queries, several strategies that give the same images the same values as one."""
    joined: list[JsonObject] = []
    for query in queries:
        rest = {key: value for key, value in query.items() if key not in ("strategy", "type")}
        same = next((one for one in joined if all(one.get(key) == value for key, value in rest.items())), None)
        if same is None:
            joined.append(dict(query))
        elif query["type"] not in same["type"].split(", "):
            same["type"] += f", {query['type']}"
    return joined


def _describe(query: JsonObject, thumbnail: Thumbnail) -> Block:
    cells = [
        captioned(thumbnail_picture(thumbnail, hit["filename"], _SIDE), hit["filename"], _say_value(hit, query))
        for hit in query["hits"]
    ]
    blocks: list[Block] = [subsection(_name(query)), *_list_sentences(query)]
    blocks.append(paragraph(f"Value ({query['type']}): {query['measure']}."))
    if remark := query.get("remark"):
        blocks.append(say(bold(shown(remark))))
    if cells:
        blocks.append(picture_grid(cells, _COLUMNS))
    return KeepTogether((*blocks, Space(4 * MM)))


def _name(query: JsonObject) -> str:
    return list_texts(query["texts"]) if query["texts"] else f"Images of {query['folder']}"


def _list_sentences(query: JsonObject) -> list[Block]:
    lines: list[Block] = []
    for words, key in (("Texts", "texts"), ("Against", "otherTexts")):
        sentences = query[key]
        if sentences and (key == "otherTexts" or len(sentences) > 1):
            more = len(sentences) - _MOST_SENTENCES
            told = "; ".join(sentences[:_MOST_SENTENCES]) + (f"; and {more} more" if more > 0 else "")
            lines.append(paragraph(f"{words}: {told}"))
    return lines


def _say_value(hit: JsonObject, query: JsonObject) -> str:
    words = four_digits(hit["value"])
    if "text" in hit:
        return f"{words}: {hit['text']}"
    is_told = "cosine" in hit and hit["cosine"] != hit["value"]
    return f"{words}, cosine {four_digits(hit['cosine'])}" if is_told else words
