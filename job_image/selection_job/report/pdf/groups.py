"""The PDF's grids of pictures: crowded regions that were thinned, outliers that stay, exact copies in groups."""

from collections.abc import Sequence
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, Spacer

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import captioned, picture_grid, section, subsection, thumbnail_image
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import count, measure, noun_of, plural, retell

JsonObject = dict[str, Any]

_COLUMNS = 6
_OUTLIER_COLUMNS = 5
_SIDE = 24 * mm


def make_groups_section(report: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
    """Return what was thinned out, and what stays though it is like nothing else; nothing where there is neither."""
    groups, heading = report["imageGroups"], section(f"Crowded and lonely {noun_of(report)}s")
    parts = [*_thinned(groups["thinned"], thumbnail, noun_of(report)), *_outliers(report, thumbnail)]
    return [Spacer(1, 6 * mm), CondPageBreak(90 * mm), heading, *parts] if parts else []


def _thinned(groups: list[JsonObject], thumbnail: Thumbnail, noun: str) -> list[Flowable]:
    if not groups:
        return []
    words = (
        f"Each line begins with a kept {noun}, then come the removed ones nearest to it. It stands for all that were "
        "removed around it: the lines with the most. If the pictures of a line differ in what you label, select more."
    )
    rows = [
        _line(group["selectedImage"], f"for {group['nRemoved']:,} removed", group["removedImages"], thumbnail)
        for group in groups
    ]
    return _with_heading("Where most was thinned out", words, rows)


def _outliers(report: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
    images, n_searched = report["imageGroups"]["outliers"], report["imageGroups"]["nSearched"]
    n = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nSelected"]
    if not images:
        return []
    words = (
        "The kept images that lie farthest from every other image, with the distance to the nearest one: rare scenes "
        "worth their label, or stray pictures to take out of the input."
    ) + (f" {count(n_searched)} of {count(n)} kept images, drawn by chance, were searched." if n_searched < n else "")
    words = retell(words, noun_of(report))
    cells = [
        captioned(
            thumbnail_image(thumbnail, image["filename"], _SIDE), image["filename"], measure(image["distance"], 3)
        )
        for image in images
    ]
    rows = [
        picture_grid(cells[start : start + _OUTLIER_COLUMNS], _OUTLIER_COLUMNS)
        for start in range(0, len(cells), _OUTLIER_COLUMNS)
    ]
    return _with_heading("Outliers that stay", words, rows)


def make_copies(groups: list[JsonObject], thumbnail: Thumbnail, noun: str) -> list[Flowable]:
    """Return the images with the most exact copies, each with some of these, a line each."""
    if not groups:
        return []
    words = f"The {noun}s with the most copies. Each line begins with the {noun} that the others equal."
    rows = [
        _line(group["filename"], f"equals {plural(group['nCopies'], 'other')}", group["copies"], thumbnail)
        for group in groups
    ]
    return _with_heading("Largest groups", words, rows)


def _line(first: str, words: str, others: Sequence[str], thumbnail: Thumbnail) -> Flowable:
    cells = [captioned(thumbnail_image(thumbnail, first, _SIDE), first, words)]
    cells += [captioned(thumbnail_image(thumbnail, other, _SIDE), other) for other in others]
    return picture_grid(cells[:_COLUMNS], _COLUMNS)


def _with_heading(heading: str, words: str, rows: Sequence[Flowable]) -> list[Flowable]:
    """Return the rows below a heading that is never alone at the foot of a page."""
    first = KeepTogether([subsection(heading), Paragraph(words, style.BODY), rows[0]])
    return [first, *rows[1:]]
