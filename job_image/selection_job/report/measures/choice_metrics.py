"""What was chosen among something else than images, objects or sequences, measured as the choice of images is."""

import numpy as np
from numpy.typing import NDArray

from selection_job.manifest.noun import OBJECT, SEQUENCE, Noun
from selection_job.numeric.histograms import neighbour_distances
from selection_job.report.measures.candidates import Candidates, make_candidates
from selection_job.report.measures.coverage import describe_curve, list_picks_for_radii
from selection_job.report.measures.strategy_effects import describe_strategies, list_kept_out
from selection_job.report.models.selection import (
    MOST_CATEGORIES,
    CategoryCount,
    Choice,
    LeftOut,
    ObjectLevelInformation,
    SequenceInformation,
    SequencesForRadius,
)
from selection_job.selection.object_selection import ObjectSelection
from selection_job.selection.selection import Selection
from selection_job.selection.sequence_selection import SequenceSelection


def describe_object_level(objects: ObjectSelection, *, normalize: bool, seed: int) -> ObjectLevelInformation:
    """Return what was chosen among the objects. Distances are between objects, on the vectors that were compared.

    One copy of the candidates' vectors is made. Seconds for a million objects.
    """
    crops, selection = objects.crops, objects.selection
    pool = make_candidates(crops.vectors, selection, normalize=normalize, seed=seed)
    counts = {
        name: np.bincount(crops.category_index[pool.catalog_rows[rows]], minlength=len(crops.categories)).tolist()
        for name, rows in _list_sets(pool).items()
    }
    return ObjectLevelInformation(
        **dict(_describe_choice(pool, selection, OBJECT)),
        task=crops.task,
        n_objects=len(crops),
        n_images_with_objects=len(np.unique(crops.image_rows)),
        categories=[
            CategoryCount(name=name, **{of_set: numbers[i] for of_set, numbers in counts.items()})
            for i, name in enumerate(crops.categories[:MOST_CATEGORIES])
        ],
    )


def describe_sequence_level(chosen: SequenceSelection, *, normalize: bool, seed: int) -> SequenceInformation:
    """Return what was chosen among the sequences. Distances are between the means of their embeddings.

    One copy of the candidates' vectors is made.
    """
    sequences, selection = chosen.sequences, chosen.selection
    pool = make_candidates(chosen.vectors, selection, normalize=normalize, seed=seed)
    return SequenceInformation(
        **dict(_describe_choice(pool, selection, SEQUENCE)),
        length=sequences.length,
        n_sequences=len(sequences.rows),
        n_duplicate=len(sequences.rows) - len(selection.candidates),
        left_out=LeftOut(n_frames_in_rests=len(sequences.left_over), n_frames_beside_corrupt=len(sequences.broken)),
        sequences_for_radius=[
            SequencesForRadius(radius=radius, n_sequences=n_picks)
            for radius, n_picks in list_picks_for_radii(selection)
        ],
    )


def _describe_choice(pool: Candidates, selection: Selection, noun: Noun) -> Choice:
    """Return what the report says of any choice: why it ended, radii, what each strategy did."""
    means = {name: _mean_to_nearest(pool.vectors[rows], pool.seed) for name, rows in _list_sets(pool).items()}
    return Choice(
        n_candidates=len(selection.candidates),
        n_filtered=selection.n_filtered,
        kept_out=list_kept_out(selection) or None,
        n_asked=selection.n_asked,
        n_selected=len(selection.selected),
        method=selection.method,
        stopped_by=selection.stopped_by,
        cover_radius=float(pool.distance_to_selected.max()),
        cover_mean=float(pool.distance_to_selected.mean(dtype=np.float64)),
        cover_radius_by_pick=describe_curve(selection),
        strategies=describe_strategies(selection, pool, means, noun),
    )


def _list_sets(pool: Candidates) -> dict[str, NDArray[np.int64]]:
    return {"input": np.arange(len(pool.vectors)), "selected": pool.selected, "random": pool.random}


def _mean_to_nearest(vectors: NDArray[np.float32], seed: int) -> float | None:
    values = neighbour_distances(vectors, seed=seed).values
    return float(values.mean()) if len(values) else None
