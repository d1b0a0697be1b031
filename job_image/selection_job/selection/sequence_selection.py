"""Selection of sequences: each is chosen as an image would be, by the mean of its frames; then its frames are kept."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_api.spec import SelectionRunSpec
from selection_api.stopping_condition import SampleTarget
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.manifest.goal import make_goal
from selection_job.numeric.neighbours import nearest_rows
from selection_job.selection.selecting import select_images
from selection_job.selection.selection import PASSED, Selection, StrategyRecord
from selection_job.selection.sequence_sources import SequenceSources, average_rows
from selection_job.selection.sequences import Sequences, cut_sequences, find_misplaced
from selection_job.selection.sources import Sources
from selection_job.selection.vectors import take_vectors

KEY = "spec.workerConfig.selected_sequence_length"

_LEFT_OVER, _BROKEN, _COPY = -1, -2, -3


@dataclass(frozen=True, eq=False)
class SequenceSelection:
    """The sequences of a run, and which of them were chosen."""

    sequences: Sequences
    """All that are whole, exact copies of others too."""
    vectors: NDArray[np.float32]  # (s + p, d) means of the embeddings, and those of the datapool's frames behind them
    selection: Selection
    """Rows refer to the sequences. Radii, distances and contributions are of sequences among sequences."""


def select_sequences(
    catalog: Catalog, embeddings: NDArray[np.float32], spec: SelectionRunSpec, sources: Sources
) -> tuple[Selection, SequenceSelection]:
    """Choose sequences by the configuration; return the choice as frames, and as sequences.

    embeddings  (n, d) float32, aligned with catalog.names
    sources     of the single frames
    Raises UnusableData where there is no whole sequence, and as select_images does.
    """
    sequences = cut_sequences(catalog, spec.worker_config.selected_sequence_length)
    if not len(sequences.rows):
        raise UnusableData(_say_why_none(sequences))
    pool = np.arange(catalog.n_new, len(catalog.names))
    vectors = np.concatenate([average_rows(embeddings, sequences.rows), embeddings[pool]])
    try:
        selection = select_images(
            _catalog_of(catalog, sequences),
            vectors,
            _count_in_sequences(spec, catalog.n_input),
            SequenceSources(sources, sequences.rows, pool),
            what="sequences",
        )
    except UnusableData as error:
        raise UnusableData(
            f"{KEY}: each sequence of {sequences.length} frames is chosen as if it was an image. {error}"
        ) from error
    chosen = SequenceSelection(sequences, vectors, selection)
    normalize = spec.worker_config.normalize_embeddings
    return _spread(chosen, catalog, embeddings, normalize=normalize), chosen


def _say_why_none(sequences: Sequences) -> str:
    why = " ".join(_note_left_out(sequences)) or "Earlier runs have selected every readable frame. Add files."
    return f"{KEY}: there is no sequence of {sequences.length} frames. {why}"


def _note_left_out(sequences: Sequences) -> Iterator[str]:
    """Yield how many frames are in no whole sequence, and why."""
    if n := len(sequences.left_over):
        yield f"Frames in no sequence, because fewer than {sequences.length} in a row were left: {n:,}."
    if n := len(sequences.broken):
        yield f"Frames in no sequence, because another frame of it is corrupt: {n:,}."


def _note_order(catalog: Catalog) -> Iterator[str]:
    """Yield that images are not in the order of their numbers, where that is so."""
    found = None if catalog.frames is not None else find_misplaced(catalog.names[: catalog.n_new])
    if found:
        first, second = (quote_some([name]) for name in found)
        yield (
            f"Images of a folder follow one another by name, so {first} comes before {second}. If they are the frames "
            "of a video, number them with leading zeros."
        )


def _count_in_sequences(spec: SelectionRunSpec, n_input: int) -> SelectionRunSpec:
    """Return the spec as it reads for sequences: a number or share of frames as a number of sequences, rounded up."""
    n_frames, worker, config = make_goal(spec).resolve(n_input).n_samples, spec.worker_config, spec.selection_config
    if n_frames is None:
        return spec
    count = -(-n_frames // worker.selected_sequence_length)
    if config is not None:
        config = config.model_copy(update={"n_samples": count, "proportion_samples": None})
        return spec.model_copy(update={"selection_config": config})
    stopping = worker.stopping_condition.model_copy(update={"n_samples": SampleTarget(count=count)})
    return spec.model_copy(
        update={"worker_config": worker.model_copy(update={"stopping_condition": stopping})},
    )


def _catalog_of(catalog: Catalog, sequences: Sequences) -> Catalog:
    """Return the sequences, and the datapool's frames behind them, as if each was an image of its own."""
    n = len(sequences.rows) + catalog.n_pool
    return Catalog(
        names=[""] * n,
        sha256=np.broadcast_to(np.uint8(0), (n, 32)),
        sizes_bytes=np.broadcast_to(np.int64(0), n),
        widths_px=np.broadcast_to(np.int32(0), n),
        heights_px=np.broadcast_to(np.int32(0), n),
        duplicate_of=_find_copies(catalog, sequences.rows),
        corrupt={},
        n_pool=catalog.n_pool,
    )


def _find_copies(catalog: Catalog, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (s + p,) the first sequence with the same frames in the same order; its own place where it is the first.

    A sequence of which every frame is a copy of one that earlier runs selected is a copy of the first of these.
    """
    s = len(rows)
    originals = catalog.duplicate_of[rows]
    _, first, inverse = np.unique(originals, axis=0, return_index=True, return_inverse=True)
    copies = first[inverse.reshape(-1)]
    are_known = (originals >= catalog.n_new).all(axis=1)
    copies[are_known] = s + originals[are_known, 0] - catalog.n_new
    return np.concatenate([copies, np.arange(s, s + catalog.n_pool)])


def _spread(
    chosen: SequenceSelection, catalog: Catalog, embeddings: NDArray[np.float32], *, normalize: bool
) -> Selection:
    """Return the choice as frames. What keeps a frame out of every sequence is recorded as a threshold."""
    sequences, own = chosen.sequences, chosen.selection
    owners = _find_owners(sequences, own.candidates, catalog.n_new)
    candidates = np.flatnonzero(owners != _COPY)
    selected = sequences.rows[own.selected].reshape(-1)
    is_removed = owners != _COPY
    is_removed[selected] = False
    removed = np.flatnonzero(is_removed)
    preselected = np.arange(catalog.n_new, len(catalog.names))
    kept = np.concatenate([selected, preselected])
    nearest, distances = nearest_rows(
        *(take_vectors(embeddings, rows, normalize=normalize) for rows in (removed, kept))
    )
    of_candidates = owners[candidates]
    filters = _make_filters(of_candidates)
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
        filtered_by=_spread_filters(own, owners[removed], tuple(filters)),
        rankings=tuple(_spread_record(record, of_candidates) for record in own.rankings),
        thresholds=(*filters.values(), *(_spread_record(record, of_candidates) for record in own.thresholds)),
        preselected=preselected,
        sequences=sequences.rows[own.candidates],
        notes=[_describe(chosen), *_note_order(catalog), *_note_left_out(sequences), *own.notes],
    )


def _find_owners(sequences: Sequences, candidates: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return (n,) the place of each frame's sequence among those that took part, or what kept the frame out of them."""
    owners = np.full(n, _COPY, dtype=np.int64)
    owners[sequences.left_over], owners[sequences.broken] = _LEFT_OVER, _BROKEN
    owners[sequences.rows[candidates]] = np.arange(len(candidates))[:, None]
    return owners


def _make_filters(owners: NDArray[np.int64]) -> dict[int, StrategyRecord]:
    """Return what keeps frames out of every sequence, as thresholds see it; only what keeps one out."""
    names = {_LEFT_OVER: "in a whole sequence", _BROKEN: "in a sequence without a corrupt frame"}
    return {
        reason: StrategyRecord(name, "THRESHOLD", None, passes=owners != reason)
        for reason, name in names.items()
        if (owners == reason).any()
    }


def _spread_filters(own: Selection, owners: NDArray[np.int64], reasons: tuple[int, ...]) -> NDArray[np.int64]:
    """Return which threshold keeps each frame out; those of the sequences come behind the reasons."""
    of_sequences = np.full(len(own.candidates), PASSED, dtype=np.int64)
    of_sequences[np.searchsorted(own.candidates, own.removed)] = own.filtered_by
    filtered_by = of_sequences[np.maximum(owners, 0)]
    filtered_by[filtered_by != PASSED] += len(reasons)
    for i, reason in enumerate(reasons):
        filtered_by[owners == reason] = i
    return filtered_by


def _spread_record(record: StrategyRecord, owners: NDArray[np.int64]) -> StrategyRecord:
    """Return what a strategy saw in the sequence of each frame. Classes stay with the sequences."""
    has_one, places = owners >= 0, np.maximum(owners, 0)
    values = None if record.values is None else np.where(has_one, record.values[places], np.nan)
    passes = None if record.passes is None else record.passes[places] & has_one
    return StrategyRecord(record.name, record.kind, record.strength, values=values, passes=passes)


def _describe(chosen: SequenceSelection) -> str:
    n, length = len(chosen.sequences.rows), chosen.sequences.length
    words = f"Sequences of {length} frames: {len(chosen.selection.selected):,} of {n:,} were selected."
    n_copies = n - len(chosen.selection.candidates)
    return words + (f" {n_copies:,} are exact copies of another." if n_copies else "")
