"""FrameCatalogBuilder: from frames as they were decoded to the catalog."""

from array import array
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frame_names import name_frame
from selection_job.catalog.frames import Frames
from selection_job.catalog.image_names import escape_name
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.videos import ReadFrame, VideoEnd

_MOST_NOTES = 20


class FrameCatalogBuilder:
    """Collects frames video by video, in columns: about 90 bytes a frame. Names follow when the videos are through."""

    def __init__(self, videos: Sequence[str], measures: Sequence[str] = ()) -> None:
        self._videos = list(videos)
        self._images = CatalogBuilder(measures)
        self._rows = array("i")
        self._indices = array("q")
        self._pts = array("q")
        self._seconds = array("d")
        self._corrupt: list[tuple[int, int, str]] = []
        self._n_frames = np.zeros(len(videos), dtype=np.int64)
        self._corrupt_videos: dict[str, str] = {}
        self._notes: list[str] = []
        self._contents = np.zeros((len(videos), 32), dtype=np.uint8)

    def add(self, frame: ReadFrame) -> None:
        """Add a frame; one whose image has a reason is corrupt."""
        if frame.image.reason is not None:
            self._corrupt.append((frame.video_row, frame.index, frame.image.reason))
            return
        self._images.add(replace(frame.image, name=""))
        self._rows.append(frame.video_row)
        self._indices.append(frame.index)
        self._pts.append(frame.pts)
        self._seconds.append(frame.seconds)

    def end(self, end: VideoEnd) -> None:
        """Note how a video ended; one with a reason can't be used at all."""
        name = self._videos[end.video_row]
        self._n_frames[end.video_row] = end.n_frames
        self._notes.extend(f"{escape_name(name)}: {note}" for note in end.notes)
        if end.content:
            self._contents[end.video_row] = np.frombuffer(end.content, np.uint8)
        if end.reason is not None:
            self._corrupt_videos[escape_name(name)] = end.reason

    def build(self) -> Catalog:
        """Return the catalog of what was added so far, of videos that are through."""
        return replace(
            self._images.build(),
            names=[self._name(row, index) for row, index in zip(self._rows, self._indices, strict=True)],
            corrupt={self._name(row, index): reason for row, index, reason in self._corrupt},
            frames=Frames(
                videos=self._videos,
                n_frames=self._n_frames,
                video_rows=np.array(self._rows, dtype=np.int32),
                indices=np.array(self._indices, dtype=np.int64),
                pts=np.array(self._pts, dtype=np.int64),
                seconds=np.array(self._seconds, dtype=np.float64),
                corrupt_videos=dict(self._corrupt_videos),
                notes=_shorten(self._notes),
                contents=self._contents,
            ),
        )

    def _name(self, row: int, index: int) -> str:
        return name_frame(self._videos[row], index, int(self._n_frames[row]))


def _shorten(notes: list[str]) -> tuple[str, ...]:
    more = len(notes) - _MOST_NOTES
    return (*notes[:_MOST_NOTES], f"… and {more} more such notes on videos.") if more > 0 else tuple(notes)
