"""The middle sections: distances before and after, maps of the images, and single decisions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selection_job.manifest.noun import Noun
from selection_job.report.blocks.blocks import (
    MM,
    TEXT_WIDTH,
    Block,
    Grid,
    KeepTogether,
    Look,
    Maps,
    PageBreak,
    Space,
)
from selection_job.report.blocks.parts import (
    bold,
    captioned_plot,
    name,
    paragraph,
    plot,
    say,
    section,
    subsection,
    table,
    thumbnail_picture,
)
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.sections.selection import say_filtered
from selection_job.report.wording import count, measure, noun_of

JsonObject = dict[str, Any]

MOST_PAIRS = 24
"""Pairs that are shown; plots/ has a picture of each."""

_LARGE_MAP = 136 * MM
_COLUMNS = ("mean", "std", "min", "percentile10", "median", "percentile90", "max")
_HEADS = ("mean", "std", "min", "10th %", "median", "90th %", "max")
_KINDS: dict[str, Callable[[Noun], str]] = {
    "pairwiseDistance": lambda noun: f"Between any two {noun.plural}",
    "distanceToNearestNeighborInSet": lambda noun: f"From {noun.with_article} to its nearest other one",
    "distanceToCoverInput": lambda noun: f"From an input {noun.singular} to the nearest chosen one",
}
_SETS = {"input": "input (before)", "selected": "selected (after)", "random": "random choice"}


def make_statistics_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return the statistics of distances before and after, and both histograms."""
    information, noun = report["datasetAnalysis"]["embeddingInformation"], noun_of(report)
    return [
        section("Before and after"),
        paragraph(
            f"Every {noun.singular} is a point in the encoder's space, and the distance between two points says how "
            f"different the {noun.plural} look to it. Choosing well spreads the points: it thins out crowded places "
            "and keeps rare ones."
        ),
        *say_filtered(report),
        _statistics_table(information, noun),
        Space(5 * MM),
        *_histograms(information["pairwiseDistance"], plots, noun),
    ]


def _histograms(pairwise: JsonObject, plots: Path, noun: Noun) -> list[Block]:
    """Return both histograms; one that has no pair is left out."""
    words = {
        "input": f"Pairs of {noun.plural} of the input.",
        "selected": (
            f"Pairs of selected {noun.plural}, on the same axes; the outlines are the input and a random choice."
        ),
    }
    files = {"input": "distance_distr_before.png", "selected": "distance_distr_after.png"}
    drawn = [which for which in files if pairwise[which]["metrics"] is not None]
    if not drawn:
        return [paragraph(f"There is no histogram: a distance needs two {noun.plural}.")]
    return [
        *[captioned_plot(plots / files[which], words[which]) for which in drawn],
        Space(2 * MM),
        say(
            bold("How to read the histograms."),
            " A bar near 0 stands for pairs that look almost the same, as frames of "
            "one scene do; labelling both teaches little. Where such pairs were removed, the left flank shrinks and "
            "the shape becomes more even. A hill on the left that stays means that a crowded region remains: a smaller "
            "selection, or a larger smallest distance, thins it out. A second hill on the right means that part of the "
            f"{noun.plural} lies far from the rest: rare scenes worth having, or stray {noun.plural} worth a look on "
            "the maps.",
        ),
    ]


def _statistics_table(information: JsonObject, noun: Noun) -> Block:
    """Return one table: for each kind of distance a line of words, then a row for each set that has distances."""
    rows: list[list[Any]] = []
    for key, say_kind in _KINDS.items():
        described = [(label, information[key].get(which)) for which, label in _SETS.items()]
        measured = [(label, one) for label, one in described if one is not None and one["metrics"] is not None]
        rows.append([say(bold(say_kind(noun)), look=Look.CELL)])
        for label, one in measured:
            rows.append([label, *[measure(one["metrics"][column]) for column in _COLUMNS], _measured(one)])
        if not measured:
            rows.append([f"needs two {noun.plural}", *["–"] * 8])
    widths = [40 * MM, *[14 * MM] * len(_COLUMNS), TEXT_WIDTH - (40 + 14 * len(_COLUMNS)) * MM]
    return table(["", *_HEADS, "measured"], rows, widths, numbers=8)


def _measured(described: JsonObject) -> str:
    sampled = described["nMeasured"] < described["nAll"]
    return f"{count(described['nMeasured'])} random" if sampled else count(described["nMeasured"])


def make_maps_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return how maps are read, then two large ones with thumbnails, then all of them as points."""
    maps, noun = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"], noun_of(report)
    words = (
        f"Each point is {noun.with_article}, drawn near those that look alike to the encoder: selected ones in "
        "orange, removed ones in grey. PCA is a true shadow of the space along its two widest directions. UMAP bends "
        "the space to keep neighbours together; k says how many it looks at, few for fine groups, many for the large "
        "picture."
    )
    caption = f"PCA, with some of the {noun.plural} laid over their points."
    return [
        Space(6 * MM),
        PageBreak(140 * MM),
        section(f"Maps of the {noun.plural}"),
        paragraph(words + _sampling(maps["sample"], noun)),
        Maps(
            (
                captioned_plot(plots / "scatter_pca.png", caption, _LARGE_MAP),
                *_umap_maps(maps["umapEmbeddingData"]["15"]["reason"], plots),
            )
        ),
    ]


def _sampling(sample: JsonObject, noun: Noun) -> str:
    if sample["nInputShown"] == sample["nInput"]:
        return ""
    n_removed, n_removed_shown = (sample[f"nInput{end}"] - sample[f"nSelected{end}"] for end in ("", "Shown"))
    return (
        f" Not all fit: {count(sample['nSelectedShown'])} of {count(sample['nSelected'])} selected and "
        f"{count(n_removed_shown)} of {count(n_removed)} removed {noun.plural} were drawn by chance. PCA is fitted on "
        "all."
    )


def _umap_maps(reason: str | None, plots: Path) -> list[Block]:
    """Return the large UMAP and all maps in small, or why there is none."""
    if reason is not None:
        return [paragraph(reason)]
    words = "UMAP with 15 neighbours, drawn in the same way."
    return [captioned_plot(plots / "scatter_umap_k_15.png", words, _LARGE_MAP), _small_maps(plots)]


def _small_maps(plots: Path) -> Block:
    width = (TEXT_WIDTH - 4 * MM) / 2
    stems = (
        *("scatter_pca_no_overlay", "scatter_umap_k_5_no_overlay"),
        *("scatter_umap_k_15_no_overlay", "scatter_umap_k_50_no_overlay"),
        *("scatter_umap_k_5", "scatter_umap_k_50"),
    )
    grid = Grid(tuple(plot(plots / f"{stem}.png", width) for stem in stems), (width + 4 * MM, width))
    words = "PCA and UMAP with 5, 15 and 50 neighbours as points alone, then the two maps that are not drawn above."
    return KeepTogether((subsection("All maps"), grid, Space(2 * MM), paragraph(words, Look.SMALL)))


def make_decisions_section(report: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    """Return pairs of a retained image and the removed one nearest to it."""
    examples = [entry for entry in report["selectedAndRemovedImageExamples"] if entry["selectedImage"] is not None]
    if not examples:
        return []
    noun = noun_of(report)
    heading = [Space(6 * MM), PageBreak(90 * MM), section("Decisions")]
    if not any(entry["removedImage"] for entry in examples):
        none = f"Nothing was removed: the retained {noun.plural} have no neighbour to be compared with."
        return [*heading, paragraph(none)]
    words = (
        f"Retained {noun.plural}, each with the removed {noun.singular} that lies nearest to it, from the nearest "
        "pair to the farthest. If the last pairs still look alike, a smaller selection would do. If the first ones "
        "differ, the network does not see what you see, or a larger selection pays."
    )
    rows = [_pair(entry, thumbnail) for entry in examples[:MOST_PAIRS]]
    widths = [28 * MM, 47 * MM, 20 * MM, 28 * MM, TEXT_WIDTH - 123 * MM]
    left_out = len(examples) - len(rows)
    return [
        *heading,
        paragraph(words),
        table(["retained", "", "distance", "nearest removed", ""], rows, widths),
        *([paragraph(f"{count(left_out)} more in the folder plots/.", Look.SMALL)] if left_out else []),
    ]


def _pair(entry: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    side = 25 * MM
    retained = [thumbnail_picture(thumbnail, entry["selectedImage"], side), name(entry["selectedImage"], 90)]
    if entry["removedImage"] is None:
        words = paragraph("nothing removed near it", Look.SMALL)
        return [*retained, paragraph("–", Look.CELL), words, Space(1)]
    distance = say(bold(measure(entry["distance"], 4)), look=Look.CELL)
    removed = [thumbnail_picture(thumbnail, entry["removedImage"], side), name(entry["removedImage"], 90)]
    return [*retained, distance, *removed]
