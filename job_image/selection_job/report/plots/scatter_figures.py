"""Maps of the embeddings as scatter plots, with and without thumbnails laid over the points."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from numpy.typing import NDArray

from selection_job.manifest.noun import Noun
from selection_job.report.measures.maps import MAP_BOX, THUMBNAIL_INCHES, map_scale
from selection_job.report.plots.drawing import (
    DPI,
    FAINT,
    INPUT,
    MUTED,
    POOL,
    SELECTED,
    Thumbnail,
    add_axes,
    add_title,
    figure,
    read_thumbnail,
    say_why_empty,
)
from selection_job.report.wording import plural

JsonObject = dict[str, Any]

_WIDTH, _HEIGHT = MAP_BOX[0] + 0.8, MAP_BOX[1] + 1.25
_INK_BUDGET = 9000.0  # total area of the points in pt^2, so that few are large and many are small


def write_scatters(folder: Path, maps: JsonObject, thumbnail: Thumbnail, noun: Noun) -> None:
    """Write scatter_pca and scatter_umap_k_{5,15,50}, with and without overlay, from report.json's scatterPlotData."""
    first, second = (f"{100 * (share or 0):.0f}%" for share in maps["pcaEmbeddingData"]["explainedVariance"])
    counted = _count_points(maps["sample"], noun)
    about = f"{counted}\nthe two axes hold {first} and {second} of the variance"
    _write_pair(folder, "scatter_pca", maps["pcaEmbeddingData"], maps["sample"], thumbnail, words=("PCA", about))
    for k, umap in maps["umapEmbeddingData"].items():
        about = f"{counted}\n{umap['nNeighbors']} neighbours: near points are alike, far distances mean little"
        _write_pair(folder, f"scatter_umap_k_{k}", umap, maps["sample"], thumbnail, words=(f"UMAP, k = {k}", about))


def _write_pair(
    folder: Path, stem: str, one_map: JsonObject, sample: JsonObject, thumbnail: Thumbnail, *, words: tuple[str, str]
) -> None:
    for name, examples in ((stem, one_map["exampleImages"]), (f"{stem}_no_overlay", [])):
        with figure(folder / f"{name}.png", _WIDTH, _HEIGHT) as drawn:
            if not one_map["input2dEmbeddings"]:
                add_title(drawn, words[0], "no map")
                say_why_empty(drawn, one_map["reason"])
                continue
            add_title(drawn, *words)
            is_selected = np.array(sample["selected"], dtype=bool)
            shown, before = (_as_points(one_map[f"{key}2dEmbeddings"]) for key in ("input", "datapool"))
            axes = _draw_points(drawn, shown, is_selected, before)
            _draw_thumbnails(axes, examples, thumbnail)


def _as_points(points: list[list[float]]) -> NDArray[np.float64]:
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _count_points(sample: JsonObject, noun: Noun) -> str:
    n_pool = sample["nPreselectedDatapool"]
    return _count_new(sample, noun) + (f", {n_pool:,} selected before" if n_pool else "")


def _count_new(sample: JsonObject, noun: Noun) -> str:
    if sample["nInputShown"] == sample["nInput"]:
        return f"{plural(sample['nInput'], noun)}, {sample['nSelected']:,} selected"
    n_removed, n_removed_shown = (sample[f"nInput{end}"] - sample[f"nSelected{end}"] for end in ("", "Shown"))
    return (
        f"drawn by chance: {sample['nSelectedShown']:,} of {sample['nSelected']:,} selected and "
        f"{n_removed_shown:,} of {n_removed:,} removed {noun.plural}"
    )


def _make_axes(drawn: Figure, everything: NDArray[np.float64]) -> Axes:
    """Return axes without ticks that show all points with one scale."""
    axes = add_axes(drawn, 0.4, 0.25, *MAP_BOX)
    centre = (everything.min(axis=0) + everything.max(axis=0)) / 2
    half = np.array(MAP_BOX) * map_scale(everything) / 2
    axes.set_xlim(centre[0] - half[0], centre[0] + half[0])
    axes.set_ylim(centre[1] - half[1], centre[1] + half[1])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
    return axes


def _draw_points(
    drawn: Figure, coordinates: NDArray[np.float64], is_selected: NDArray[np.bool_], before: NDArray[np.float64]
) -> Axes:
    everything = np.concatenate([coordinates, before])
    axes = _make_axes(drawn, everything)
    area = float(np.clip(_INK_BUDGET / len(everything), 2.0, 36.0))
    removed, selected = coordinates[~is_selected], coordinates[is_selected]
    axes.scatter(removed[:, 0], removed[:, 1], s=area, c=INPUT, linewidths=0, rasterized=True)
    axes.scatter(before[:, 0], before[:, 1], s=area * 1.6, c=POOL, marker="D", linewidths=0, rasterized=True)
    edge = 0.4 if area > 8 else 0.0  # around small points an edge would be all there is to see
    axes.scatter(
        selected[:, 0], selected[:, 1], s=area * 1.6, c=SELECTED, linewidths=edge, edgecolors="white", rasterized=True
    )
    _draw_legend(drawn, has_removed=len(removed) > 0, has_pool=len(before) > 0)
    return axes


def _draw_legend(drawn: Figure, *, has_removed: bool, has_pool: bool) -> None:
    marks = [(SELECTED, "o", "selected")]
    marks += [(POOL, "D", "selected before")] if has_pool else []
    marks += [(INPUT, "o", "removed")] if has_removed else []
    handles = [
        Line2D([], [], linestyle="", marker=mark, markersize=6, markerfacecolor=color, markeredgewidth=0, label=label)
        for color, mark, label in marks
    ]
    drawn.legend(handles=handles, loc="upper right", ncols=len(marks), fontsize=9, bbox_to_anchor=(0.97, 0.985))


def _draw_thumbnails(axes: Axes, examples: list[JsonObject], thumbnail: Thumbnail) -> None:
    side_px = round(THUMBNAIL_INCHES * DPI)
    for example in examples:
        pixels = read_thumbnail(thumbnail, example["filename"], side_px)
        if pixels is None:
            continue
        box = AnnotationBbox(
            OffsetImage(pixels, zoom=72 / DPI, interpolation="nearest"),
            example["location"],
            frameon=True,
            pad=0.12,
            bboxprops={"edgecolor": SELECTED if example["selected"] else MUTED, "linewidth": 1.0},
        )
        axes.add_artist(box)
