"""Sequences: frames that follow one another in a video, or images in a folder, and are chosen together or not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.catalog.frames import Frames

_NUMBERED = re.compile(r"(?P<before>.*[^0-9]|)(?P<number>[0-9]{1,18})(?P<after>[^0-9]*)", re.DOTALL)
_CORRUPT = -1
_IN_POOL = -2


@dataclass(frozen=True, eq=False)
class Sequences:
    """Rows of the catalog. Each of the input's is in one of the three, once."""

    rows: NDArray[np.int64]  # (s, L) the frames of each sequence in time; sequences by their first row
    left_over: NDArray[np.int64]  # (a,) sorted: fewer than L in a row were left
    broken: NDArray[np.int64]  # (b,) sorted: usable themselves, but one of the L is corrupt

    @property
    def length(self) -> int:
        """How many frames a sequence has."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, eq=False)
class _Track:
    """All that was looked at, corrupt or not, video by video (folder by folder) and each in its order."""

    groups: NDArray[np.int64]  # (t,) the video or the folder
    rows: NDArray[np.int64]  # (t,) of the catalog; _CORRUPT or _IN_POOL


def cut_sequences(catalog: Catalog, length: int) -> Sequences:
    """Cut each video, or without videos each folder by name, into sequences of so many looked-at frames.

    length  2 or more
    Every sequence begins where the one before it ends. A corrupt frame has its place in one, which is none then. What
    earlier runs selected has no place: sequences end before it and begin anew behind it. A second for a million frames.
    """
    track = _lay_out_frames(catalog, catalog.frames) if catalog.medium.has_many_per_file else _lay_out_images(catalog)
    parts = _number_parts(track, length)
    is_whole = np.bincount(parts) == length
    has_corrupt = np.bincount(parts, weights=track.rows == _CORRUPT) > 0
    rows = track.rows[(is_whole & ~has_corrupt)[parts]].reshape(-1, length)
    is_usable = track.rows >= 0
    return Sequences(
        rows[np.argsort(rows[:, 0])],
        left_over=np.sort(track.rows[is_usable & ~is_whole[parts]]),
        broken=np.sort(track.rows[is_usable & (is_whole & has_corrupt)[parts]]),
    )


def _number_parts(track: _Track, length: int) -> NDArray[np.int64]:
    """Return (t,) which part each belongs to: at most `length` that follow one another."""
    places, in_pool = np.arange(len(track.rows)), track.rows == _IN_POOL
    begins = np.ones(len(places), dtype=bool)
    begins[1:] = (track.groups[1:] != track.groups[:-1]) | in_pool[1:] | in_pool[:-1]
    since = places - np.maximum.accumulate(np.where(begins, places, 0))
    parts: NDArray[np.int64] = np.cumsum(since % length == 0) - 1
    return parts


def _lay_out_images(catalog: Catalog) -> _Track:
    names = [*catalog.names[: catalog.n_new], *catalog.corrupt, *catalog.names[catalog.n_new :]]
    rows = _number_rows(catalog.n_new, len(catalog.corrupt), catalog.n_pool)
    by_name = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
    numbers: dict[str, int] = {}
    folders = np.fromiter((numbers.setdefault(_folder(name), len(numbers)) for name in names), np.int64, len(names))
    order = by_name[np.argsort(folders[by_name], kind="stable")]
    return _Track(folders[order], rows[order])


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def find_misplaced(names: Sequence[str]) -> tuple[str, str] | None:
    """Return two images whose names say another order than their numbers; None where there are no such neighbours.

    names  sorted
    A second for a million.

    >>> find_misplaced(["walk/frame_1.jpg", "walk/frame_10.jpg", "walk/frame_2.jpg"])
    ('walk/frame_10.jpg', 'walk/frame_2.jpg')
    """
    parsed = (_NUMBERED.fullmatch(name.rpartition(".")[0]) for name in names)
    for row, (one, following) in enumerate(pairwise(parsed)):
        if one is None or following is None or one["before"] != following["before"]:
            continue
        if one["after"] == following["after"] and int(one["number"]) > int(following["number"]):
            return names[row], names[row + 1]
    return None


def _lay_out_frames(catalog: Catalog, frames: Frames) -> _Track:
    numbers = {video: row for row, video in enumerate(frames.videos)}
    corrupt = np.array(list(_find_places(catalog.corrupt, numbers)), dtype=np.int64).reshape(-1, 2)
    pool = np.array(list(_find_places(catalog.names[catalog.n_new :], numbers)), dtype=np.int64).reshape(-1, 2)
    videos = np.concatenate([frames.video_rows.astype(np.int64), corrupt[:, 0], pool[:, 0]])
    indices = np.concatenate([frames.indices, corrupt[:, 1], pool[:, 1]])
    order = np.lexsort((indices, videos))
    return _Track(videos[order], _number_rows(catalog.n_new, len(corrupt), len(pool))[order])


def _number_rows(n_new: int, n_corrupt: int, n_pool: int) -> NDArray[np.int64]:
    return np.concatenate([np.arange(n_new), np.full(n_corrupt, _CORRUPT), np.full(n_pool, _IN_POOL)])


def _find_places(names: "list[str] | dict[str, str]", videos: dict[str, int]) -> Iterator[tuple[int, int]]:
    """Yield video and place of frames by their names, of those videos alone."""
    for name in names:
        parsed = parse_frame_name(name)
        if parsed is not None and parsed[0] in videos:
            yield videos[parsed[0]], parsed[1]
