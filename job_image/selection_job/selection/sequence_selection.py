"""Selection of sequences: each is chosen as an image would be, by the mean of its frames; then its frames are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selection_api.stopping_condition import SampleTarget
from selection_api.worker_config import WorkerConfig
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.manifest.goal import Goal
from selection_job.manifest.noun import SEQUENCE
from selection_job.numeric.neighbours import nearest_rows
from selection_job.selection.items import Items
from selection_job.selection.selecting import select
from selection_job.selection.selection import PASSED, Cause, Selection, StrategyRecord
from selection_job.selection.sequence_sources import SequenceSources, average_rows
from selection_job.selection.sequences import Sequences, cut_sequences, find_misplaced
from selection_job.selection.sources import Sources
from selection_job.selection.vectors import take_vectors

KEY = "spec.workerConfig.selected_sequence_length"

_LEFT_OVER, _BROKEN, _COPY = -1, -2, -3
_REASONS = {_LEFT_OVER: "in a whole sequence", _BROKEN: "in a sequence without a corrupt frame"}
"""Why a frame is in no sequence that took part, as a threshold says it. Copies are no candidates at all."""


@dataclass(frozen=True, eq=False)
class SequenceSelection:
    """The sequences of a run, and which of them were chosen."""

    sequences: Sequences
    """All that are whole, exact copies of others too."""
    vectors: NDArray[np.float32]  # (s + p, d) means of the embeddings, and those of the datapool's frames behind them
    selection: Selection
    """Rows refer to the sequences. Radii, distances and contributions are of sequences among sequences."""


def select_sequences(
    goal: Goal, catalog: Catalog, embeddings: NDArray[np.float32], sources: Sources, worker: WorkerConfig
) -> tuple[Selection, SequenceSelection]:
    """Choose sequences by the configuration; return the choice as frames, and as sequences.

    goal        its number counts frames: as many sequences are chosen as have them, rounded up
    embeddings  (n, d) float32, aligned with catalog.names
    sources     of the single frames
    Raises UnusableData where there is no whole sequence, and as select does.
    """
    length, normalize = worker.selected_sequence_length, worker.normalize_embeddings
    sequences = cut_sequences(catalog, length)
    if not len(sequences.rows):
        why = " ".join(_note_left_out(sequences)) or "Earlier runs have selected every readable frame. Add files."
        raise UnusableData(f"{KEY}: there is no sequence of {length} frames. {why}")
    takes_part = np.ones(len(sequences.rows), dtype=bool)
    if worker.remove_exact_duplicates:
        takes_part = ~_find_repeats(catalog, sequences.rows)
    as_images = f"{KEY}: each sequence of {length} frames is chosen as if it was an image."
    if not takes_part.any():
        raise UnusableData(
            f"{as_images} Nothing to select from: every readable image is an exact copy of one that was selected "
            "before."
        )
    pool = np.arange(catalog.n_new, len(catalog.names))
    vectors = np.concatenate([average_rows(embeddings, sequences.rows), embeddings[pool]])
    items = Items(SEQUENCE, vectors, takes_part, pool_noun=catalog.medium.noun)
    target = None if goal.n_samples is None else SampleTarget(count=-(-goal.n_samples // length))
    try:
        selection = select(
            replace(goal, target=target),
            items,
            SequenceSources(sources, sequences.rows, pool),
            normalize=normalize,
        )
    except UnusableData as error:
        raise UnusableData(f"{as_images} {error}") from error
    chosen = SequenceSelection(sequences, vectors, selection)
    return _spread(chosen, catalog, embeddings, normalize=normalize), chosen


def _find_repeats(catalog: Catalog, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (s,) True of sequences whose frames, in the same order, an earlier one has.

    So is one of which every frame is a copy of one that earlier runs selected.
    """
    originals = catalog.duplicate_of[rows]
    repeats = np.ones(len(rows), dtype=bool)
    repeats[np.unique(originals, axis=0, return_index=True)[1]] = False
    repeats |= (originals >= catalog.n_new).all(axis=1)
    return repeats


def _note_left_out(sequences: Sequences) -> Iterator[str]:
    """Yield how many frames are in no whole sequence, and why."""
    if n := len(sequences.left_over):
        yield f"Frames in no sequence, because fewer than {sequences.length} in a row were left: {n:,}."
    if n := len(sequences.broken):
        yield f"Frames in no sequence, because another frame of it is corrupt: {n:,}."


def _note_order(catalog: Catalog) -> Iterator[str]:
    """Yield that images are not in the order of their numbers, where that is so."""
    found = None if catalog.medium.has_many_per_file else find_misplaced(catalog.names[: catalog.n_new])
    if found:
        first, second = (quote_some([name]) for name in found)
        yield (
            f"Images of a folder follow one another by name, so {first} comes before {second}. If they are the frames "
            "of a video, number them with leading zeros."
        )


def _spread(
    chosen: SequenceSelection, catalog: Catalog, embeddings: NDArray[np.float32], *, normalize: bool
) -> Selection:
    """Return the choice as frames. What keeps a frame out of every sequence is recorded as a threshold."""
    sequences, own = chosen.sequences, chosen.selection
    places = np.full(catalog.n_new, _COPY, dtype=np.int64)  # of each frame's sequence among those that took part
    places[sequences.left_over], places[sequences.broken] = _LEFT_OVER, _BROKEN
    places[sequences.rows[own.candidates]] = np.arange(len(own.candidates))[:, None]
    candidates = np.flatnonzero(places != _COPY)
    selected = sequences.rows[own.selected].reshape(-1)
    removed = np.setdiff1d(candidates, selected, assume_unique=True)
    preselected = np.arange(catalog.n_new, len(catalog.names))
    kept = np.concatenate([selected, preselected])
    nearest, distances = nearest_rows(
        *(take_vectors(embeddings, rows, normalize=normalize) for rows in (removed, kept))
    )
    of_candidates = places[candidates]
    filters = {
        reason: StrategyRecord(name, "THRESHOLD", None, passes=of_candidates != reason, cause=Cause.NO_SEQUENCE)
        for reason, name in _REASONS.items()
        if (of_candidates == reason).any()
    }
    return Selection(
        candidates=candidates,
        selected=selected,
        radii=np.full(len(selected), np.nan, dtype=np.float32),
        removed=removed,
        nearest_selected=kept[nearest],
        nearest_distance=distances,
        method=own.method,
        stopped_by=own.stopped_by,
        distances=np.repeat(own.distances, sequences.length),
        contributions=np.repeat(own.contributions, sequences.length, axis=0),
        filtered_by=_spread_filters(own, places[removed], tuple(filters)),
        rankings=tuple(_spread_record(record, of_candidates) for record in own.rankings),
        thresholds=(*filters.values(), *(_spread_record(record, of_candidates) for record in own.thresholds)),
        preselected=preselected,
        sequences=sequences.rows[own.candidates],
        n_asked=None if own.n_asked is None else own.n_asked * sequences.length,
        notes=[_describe(chosen), *_note_order(catalog), *_note_left_out(sequences), *own.notes],
    )


def _spread_filters(own: Selection, places: NDArray[np.int64], reasons: tuple[int, ...]) -> NDArray[np.int64]:
    """Return which threshold keeps each frame out; those of the sequences come behind the reasons."""
    of_sequences = np.full(len(own.candidates), PASSED, dtype=np.int64)
    of_sequences[np.searchsorted(own.candidates, own.removed)] = own.filtered_by
    filtered_by = of_sequences[np.maximum(places, 0)]
    filtered_by[filtered_by != PASSED] += len(reasons)
    for i, reason in enumerate(reasons):
        filtered_by[places == reason] = i
    return filtered_by


def _spread_record(record: StrategyRecord, places: NDArray[np.int64]) -> StrategyRecord:
    """Return what a strategy saw in the sequence of each frame. Classes stay with the sequences."""
    has_one, taken = places >= 0, np.maximum(places, 0)
    values = None if record.values is None else np.where(has_one, record.values[taken], np.nan)
    passes = None if record.passes is None else record.passes[taken] & has_one
    return StrategyRecord(record.name, record.kind, record.strength, values=values, passes=passes, cause=record.cause)


def _describe(chosen: SequenceSelection) -> str:
    n, length = len(chosen.sequences.rows), chosen.sequences.length
    words = f"Sequences of {length} frames: {len(chosen.selection.selected):,} of {n:,} were selected."
    n_copies = n - len(chosen.selection.candidates)
    return words + (f" {n_copies:,} are exact copies of another." if n_copies else "")
