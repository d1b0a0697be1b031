"""Grids of pictures: crowded regions that were thinned, outliers that stay, exact copies in groups."""

from collections.abc import Sequence
from typing import Any

from selection_job.manifest.noun import Noun
from selection_job.report.blocks.blocks import MM, Block, PageBreak, Space
from selection_job.report.blocks.parts import (
    captioned,
    keep_heading,
    paragraph,
    picture_grid,
    picture_grids,
    section,
    subsection,
    thumbnail_picture,
)
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import count, measure, noun_of, plural

JsonObject = dict[str, Any]

_COLUMNS = 6
_OUTLIER_COLUMNS = 5
_SIDE = 24 * MM
_OTHER = Noun("other", "others")


def make_groups_section(report: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    """Return what was thinned out, and what stays though it is like nothing else; nothing where there is neither."""
    noun = noun_of(report)
    parts = [*_thinned(report["imageGroups"]["thinned"], thumbnail, noun), *_outliers(report, thumbnail, noun)]
    if not parts:
        return []
    return [Space(6 * MM), PageBreak(90 * MM), section(f"Crowded and lonely {noun.plural}"), *parts]


def _thinned(groups: list[JsonObject], thumbnail: Thumbnail, noun: Noun) -> list[Block]:
    if not groups:
        return []
    words = (
        f"Each line begins with a kept {noun.singular}, then come the removed ones nearest to it. It stands for all "
        "that were removed around it: the lines with the most. If the pictures of a line differ in what you label, "
        "select more."
    )
    rows = [
        _line(group["selectedImage"], f"for {group['nRemoved']:,} removed", group["removedImages"], thumbnail)
        for group in groups
    ]
    return keep_heading([subsection("Where most was thinned out"), paragraph(words)], rows)


def _outliers(report: JsonObject, thumbnail: Thumbnail, noun: Noun) -> list[Block]:
    images, n_searched = report["imageGroups"]["outliers"], report["imageGroups"]["nSearched"]
    n = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nSelected"]
    if not images:
        return []
    words = (
        f"The kept {noun.plural} that lie farthest from every other {noun.singular}, with the distance to the nearest "
        "one: rare scenes worth their label, or stray pictures to take out of the input."
    )
    if n_searched < n:
        words += f" {count(n_searched)} of {count(n)} kept {noun.plural}, drawn by chance, were searched."
    cells = [
        captioned(
            thumbnail_picture(thumbnail, image["filename"], _SIDE), image["filename"], measure(image["distance"], 3)
        )
        for image in images
    ]
    return picture_grids([subsection("Outliers that stay"), paragraph(words)], cells, _OUTLIER_COLUMNS)


def make_copies(groups: list[JsonObject], thumbnail: Thumbnail, noun: Noun) -> list[Block]:
    """Return the images with the most exact copies, each with some of these, a line each."""
    if not groups:
        return []
    words = f"The {noun.plural} with the most copies. Each line begins with the {noun.singular} that the others equal."
    rows = [
        _line(one["filename"], f"equals {plural(one['nCopies'], _OTHER)}", one["copies"], thumbnail) for one in groups
    ]
    return keep_heading([subsection("Largest groups"), paragraph(words)], rows)


def _line(first: str, words: str, others: Sequence[str], thumbnail: Thumbnail) -> Block:
    cells = [captioned(thumbnail_picture(thumbnail, first, _SIDE), first, words)]
    cells += [captioned(thumbnail_picture(thumbnail, other, _SIDE), other) for other in others]
    return picture_grid(cells[:_COLUMNS], _COLUMNS)
