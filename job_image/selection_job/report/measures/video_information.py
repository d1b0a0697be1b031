"""videoInformation: where the frames of a run come from, video by video, and where in time the selected ones lie."""

from collections import Counter
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.catalog.frames import Frames
from selection_job.report.facts import RunFacts
from selection_job.report.measures.candidates import Candidates
from selection_job.report.measures.video_times import measure_lengths, place_in_time
from selection_job.report.models.general import VideoLevelSizes
from selection_job.report.models.images import CorruptFile
from selection_job.report.models.videos import (
    MOST_CORRUPT,
    MOST_VIDEOS,
    N_PARTS,
    CorruptVideos,
    FramesPerVideo,
    OtherVideos,
    Spread,
    Video,
    VideoInformation,
)
from selection_job.selection.selection import Selection
from selection_job.selection.video_counts import VideoCounts, count_frames


def describe_videos(
    frames: Frames, catalog: Catalog, selection: Selection, *, pool: Candidates, facts: RunFacts
) -> tuple[VideoLevelSizes, VideoInformation]:
    """Return what became of the videos, and where their frames lie. Linear in frames, some seconds for ten million."""
    counts = count_frames(frames, catalog, selection)
    lengths = measure_lengths(frames)
    rows = frames.video_rows
    chance = np.bincount(rows[pool.catalog_rows[pool.random]], minlength=len(frames.videos))
    shown, others = _split(counts)
    times = place_in_time(frames, lengths, selection, shown, N_PARTS)
    return _count_videos(counts, catalog), VideoInformation(
        every_nth_frame=facts.every_nth_frame,
        target_fps=facts.target_fps,
        n_frames=int(counts.n_frames.sum()),
        n_looked_at=int(counts.looked_at.sum()),
        seconds=float(np.nansum(lengths.seconds)) if np.isfinite(lengths.seconds).any() else None,
        selected_per_video=_describe_spread(counts.selected[counts.is_usable]),
        n_without_selected=int(np.count_nonzero(counts.is_usable & (counts.selected == 0))),
        frames_per_video=_compare_frames(counts, chance),
        videos=[
            Video(
                filename=counts.names[row],
                **_sum_up(counts, np.array([row])),
                seconds=lengths.seconds[row],
                selected_over_time=parts,
            )
            for row, parts in zip(shown.tolist(), times, strict=True)
        ],
        other_videos=OtherVideos(n_videos=len(others), **_sum_up(counts, others)),
        corrupt_videos=_list_corrupt(counts),
    )


def _split(counts: VideoCounts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the usable videos that are described, most frames first and then by name, and those that are summed."""
    usable = np.flatnonzero(counts.is_usable)
    order = usable[np.lexsort((usable, -counts.looked_at[usable], -counts.n_frames[usable]))]
    return order[:MOST_VIDEOS], order[MOST_VIDEOS:]


def _sum_up(counts: VideoCounts, rows: NDArray[np.int64]) -> dict[str, int]:
    columns = {
        "n_frames": counts.n_frames,
        "n_looked_at": counts.looked_at,
        "n_corrupt": counts.corrupt,
        "n_duplicate": counts.duplicate,
        "n_removed": counts.removed,
        "n_selected": counts.selected,
    }
    return {key: int(column[rows].sum()) for key, column in columns.items()}


def _count_videos(counts: VideoCounts, catalog: Catalog) -> VideoLevelSizes:
    """Count the videos as images are counted: the parts add up to n_input."""
    is_selected = counts.selected > 0
    is_corrupt = ~counts.is_usable & ~is_selected
    rest = counts.looked_at - counts.corrupt
    is_duplicate = ~is_selected & ~is_corrupt & (rest > 0) & (rest == counts.duplicate)
    parsed = map(parse_frame_name, catalog.names[catalog.n_new :])
    before = {found[0] if found else "" for found in parsed}
    chosen = {counts.names[row] for row in np.flatnonzero(is_selected).tolist()}
    return VideoLevelSizes(
        n_input=len(counts.names),
        n_corrupt=int(is_corrupt.sum()),
        n_duplicate=int(is_duplicate.sum()),
        n_removed=int((~is_selected & ~is_corrupt & ~is_duplicate).sum()),
        n_selected=len(chosen),
        n_preselected_datapool=len(before),
        n_selected_with_datapool=len(before | chosen),
    )


def _describe_spread(numbers: NDArray[np.int64]) -> Spread | None:
    if not len(numbers):
        return None
    return Spread(
        min=int(numbers.min()),
        median=float(np.median(numbers)),
        mean=float(numbers.mean()),
        max=int(numbers.max()),
    )


def _compare_frames(counts: VideoCounts, chance: NDArray[np.int64]) -> FramesPerVideo:
    """Count the usable videos by their frames: none, 1, 2 to 3, 4 to 7, …; bins are the first numbers of these."""
    usable = counts.is_usable
    sets = {"looked_at": counts.looked_at, "selected": counts.selected, "random": chance}
    places = {name: np.ceil(np.log2(numbers[usable] + 1)).astype(np.int64) for name, numbers in sets.items()}
    n_bins = 1 + max((int(place.max()) for place in places.values() if len(place)), default=0)
    return FramesPerVideo(
        bins=[0, *(2**i for i in range(n_bins - 1))],
        **{name: np.bincount(place, minlength=n_bins).tolist() for name, place in places.items()},
    )


def _list_corrupt(counts: VideoCounts) -> CorruptVideos:
    corrupt = [(name, reason) for name, reason in zip(counts.names, counts.reasons, strict=True) if reason]
    kinds = Counter(reason.partition(":")[0].strip() for _, reason in corrupt)
    return CorruptVideos(
        total=len(corrupt),
        kinds=dict(kinds.most_common(100)),
        videos=[CorruptFile(filename=name, reason=reason) for name, reason in islice(corrupt, MOST_CORRUPT)],
    )
