"""The PDF's middle part: distances before and after, maps of the images, and single decisions."""

from pathlib import Path
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, Spacer, Table

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import captioned_plot, name, plot, section, subsection, table, thumbnail_image
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import count, measure, noun_of, retell

JsonObject = dict[str, Any]

MOST_PAIRS = 24
"""Examples in the PDF; plots/ has a picture of each."""

_COLUMNS = ("mean", "std", "min", "percentile10", "median", "percentile90", "max")
_HEADS = ("mean", "std", "min", "10th %", "median", "90th %", "max")
_KINDS = {
    "pairwiseDistance": "Between any two images",
    "distanceToNearestNeighborInSet": "From an image to its nearest other one",
    "distanceToCoverInput": "From an input image to the nearest chosen one",
}
_SETS = {"input": "input (before)", "selected": "selected (after)", "random": "random choice"}


def make_statistics_section(report: JsonObject, plots: Path) -> list[Flowable]:
    """Return the statistics of distances before and after, and both histograms."""
    information, noun = report["datasetAnalysis"]["embeddingInformation"], noun_of(report)
    return [
        section("Before and after"),
        Paragraph(
            f"Every {noun} is a point in the encoder's space, and the distance between two points says how different "
            f"the {noun}s look to it. Choosing well spreads the points: it thins out crowded places and keeps rare "
            "ones.",
            style.BODY,
        ),
        _statistics_table(information, noun),
        Spacer(1, 5 * mm),
        *_histograms(information["pairwiseDistance"], plots, noun),
    ]


def _histograms(pairwise: JsonObject, plots: Path, noun: str) -> list[Flowable]:
    """Return both histograms; one that has no pair is left out."""
    words = {
        "input": f"Pairs of {noun}s of the input.",
        "selected": f"Pairs of selected {noun}s, on the same axes; the outlines are the input and a random choice.",
    }
    files = {"input": "distance_distr_before.png", "selected": "distance_distr_after.png"}
    drawn = [which for which in files if pairwise[which]["metrics"] is not None]
    if not drawn:
        return [Paragraph(f"There is no histogram: a distance needs two {noun}s.", style.BODY)]
    return [
        *[part for which in drawn for part in captioned_plot(plots / files[which], 152 * mm, words[which])],
        Spacer(1, 2 * mm),
        Paragraph(
            "<b>How to read the histograms.</b> A bar near 0 stands for pairs that look almost the same, as frames of "
            "one scene do; labelling both teaches little. Where such pairs were removed, the left flank shrinks and "
            "the shape becomes more even. A hill on the left that stays means that a crowded region remains: a smaller "
            "selection, or a larger smallest distance, thins it out. A second hill on the right means that part of the "
            f"{noun}s lies far from the rest: rare scenes worth having, or stray {noun}s worth a look on the maps.",
            style.BODY,
        ),
    ]


def _statistics_table(information: JsonObject, noun: str) -> Flowable:
    """Return one table: for each kind of distance a line of words, then a row for each set that has distances."""
    rows: list[list[Any]] = []
    for key, words in _KINDS.items():
        described = [(label, information[key].get(which)) for which, label in _SETS.items()]
        measured = [(label, one) for label, one in described if one is not None and one["metrics"] is not None]
        rows.append([Paragraph(f"<b>{retell(words, noun)}</b>", style.CELL), *[""] * 8])
        for label, one in measured:
            rows.append([label, *[measure(one["metrics"][column]) for column in _COLUMNS], _measured(one)])
        if not measured:
            rows.append([f"needs two {noun}s", *["–"] * 8])
    widths = [40 * mm, *[14 * mm] * len(_COLUMNS), style.TEXT_WIDTH - (40 + 14 * len(_COLUMNS)) * mm]
    made = table(["", *_HEADS, "measured"], rows, widths, numbers=8)
    made.setStyle([("SPAN", (0, i), (-1, i)) for i, row in enumerate(rows, 1) if not isinstance(row[0], str)])
    return made


def _measured(described: JsonObject) -> str:
    sampled = described["nMeasured"] < described["nAll"]
    return f"{count(described['nMeasured'])} random" if sampled else count(described["nMeasured"])


def make_maps_section(report: JsonObject, plots: Path) -> list[Flowable]:
    """Return the maps: two large ones with thumbnails, then all of them as points."""
    maps, noun = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"], noun_of(report)
    large = 136 * mm
    return [
        Spacer(1, 6 * mm),
        CondPageBreak(140 * mm),
        *introduce_maps(report),
        *captioned_plot(plots / "scatter_pca.png", large, f"PCA, with some of the {noun}s laid over their points."),
        *_umap_maps(maps["umapEmbeddingData"]["15"]["reason"], plots, large),
    ]


def introduce_maps(report: JsonObject) -> list[Flowable]:
    """Return the heading, and how maps are read."""
    maps, noun = report["datasetAnalysis"]["embeddingInformation"]["scatterPlotData"], noun_of(report)
    words = retell(
        "Each point is an image, drawn near those that look alike to the encoder: selected ones in orange, removed "
        "ones in grey. PCA is a true shadow of the space along its two widest directions. UMAP bends the space to "
        "keep neighbours together; k says how many it looks at, few for fine groups, many for the large picture.",
        noun,
    )
    return [
        section(f"Maps of the {noun}s"),
        Paragraph(words + retell(_sampling(maps["sample"]), noun), style.BODY),
    ]


def _sampling(sample: JsonObject) -> str:
    if sample["nInputShown"] == sample["nInput"]:
        return ""
    n_removed, n_removed_shown = (sample[f"nInput{end}"] - sample[f"nSelected{end}"] for end in ("", "Shown"))
    return (
        f" Not all fit: {count(sample['nSelectedShown'])} of {count(sample['nSelected'])} selected and "
        f"{count(n_removed_shown)} of {count(n_removed)} removed images were drawn by chance. PCA is fitted on all."
    )


def _umap_maps(reason: str | None, plots: Path, width: float) -> list[Flowable]:
    """Return the large UMAP and all maps in small, or why there is none."""
    if reason is not None:
        return [Paragraph(reason, style.BODY)]
    words = "UMAP with 15 neighbours, drawn in the same way."
    return [*captioned_plot(plots / "scatter_umap_k_15.png", width, words), *_small_maps(plots)]


def _small_maps(plots: Path) -> list[Flowable]:
    width = (style.TEXT_WIDTH - 4 * mm) / 2
    files = [
        ("scatter_pca_no_overlay", "scatter_umap_k_5_no_overlay"),
        ("scatter_umap_k_15_no_overlay", "scatter_umap_k_50_no_overlay"),
        ("scatter_umap_k_5", "scatter_umap_k_50"),
    ]
    rows = [[plot(plots / f"{stem}.png", width) for stem in pair] for pair in files]
    grid = Table(rows, colWidths=[width + 4 * mm, width], style=style.PLAIN, hAlign="LEFT")
    words = "PCA and UMAP with 5, 15 and 50 neighbours as points alone, then the two maps that are not drawn above."
    return [KeepTogether([subsection("All maps"), grid, Spacer(1, 2 * mm), Paragraph(words, style.SMALL)])]


def make_decisions_section(report: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
    """Return pairs of a retained image and the removed one nearest to it."""
    examples = [entry for entry in report["selectedAndRemovedImageExamples"] if entry["selectedImage"] is not None]
    if not examples:
        return []
    removed = any(entry["removedImage"] for entry in examples)
    words = (
        "Retained images, each with the removed image that lies nearest to it, from the nearest pair to the farthest. "
        "If the last pairs still look alike, a smaller selection would do. If the first ones differ, the network does "
        "not see what you see, or a larger selection pays."
        if removed
        else "Nothing was removed: these retained images have no neighbour to be compared with."
    )
    rows = [_pair(entry, thumbnail) for entry in examples[:MOST_PAIRS]]
    left_out = len(examples) - len(rows)
    return [
        Spacer(1, 6 * mm),
        CondPageBreak(90 * mm),
        section("Decisions"),
        Paragraph(retell(words, noun_of(report)), style.BODY),
        Table(
            [[Paragraph(word, style.CELL_HEAD) for word in ("retained", "", "distance", "nearest removed", "")], *rows],
            colWidths=[28 * mm, 47 * mm, 20 * mm, 28 * mm, style.TEXT_WIDTH - 123 * mm],
            style=style.TABLE,
            repeatRows=1,
            hAlign="LEFT",
        ),
        *([Paragraph(f"{count(left_out)} more in the folder plots/.", style.SMALL)] if left_out else []),
    ]


def _pair(entry: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
    side = 25 * mm
    retained = [thumbnail_image(thumbnail, entry["selectedImage"], side), name(entry["selectedImage"], 90)]
    if entry["removedImage"] is None:
        return [*retained, Paragraph("–", style.CELL), Paragraph("nothing removed near it", style.SMALL), Spacer(1, 1)]
    distance = Paragraph(f"<b>{measure(entry['distance'], 4)}</b>", style.CELL)
    return [
        *retained,
        distance,
        thumbnail_image(thumbnail, entry["removedImage"], side),
        name(entry["removedImage"], 90),
    ]
