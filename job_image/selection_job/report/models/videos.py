"""videoInformation: where the frames of a run come from, video by video, and when in them the selected ones are."""

from typing import Annotated

from pydantic import Field

from selection_job.report.models.base import Count, MaybeNumber, Number, ReportModel
from selection_job.report.models.images import CorruptFile

MOST_VIDEOS = 300
"""Videos with numbers of their own: those with the most frames; the others are summed."""

MOST_CORRUPT = 1000
"""Corrupt videos that are listed by name; the total counts all."""

N_PARTS = 200
"""Equal parts of a video's length in which selected frames are counted."""

Bins = Annotated[list[Count], Field(max_length=64)]


class Spread(ReportModel):
    """How many selected frames a usable video has."""

    min: Count
    median: Number
    mean: Number
    max: Count


class FramesPerVideo(ReportModel):
    """How many usable videos have so many frames."""

    bins: Bins
    """The least number of frames of each bin: 0, 1, 2, 4, 8, …; the last bin has no end."""
    looked_at: Bins
    selected: Bins
    random: Bins
    """Of a random choice of as many frames."""


class FrameCounts(ReportModel):
    """What became of frames."""

    n_frames: Count
    """Decoded, sampled or not."""
    n_looked_at: Count
    """The sum of the next four."""
    n_corrupt: Count
    n_duplicate: Count
    """Left out as exact copies."""
    n_removed: Count
    n_selected: Count


class Video(FrameCounts):
    """A usable video."""

    filename: str
    seconds: MaybeNumber
    """Length; null where the frames do not say their times."""
    selected_over_time: Annotated[list[Count], Field(max_length=N_PARTS)]
    """Selected frames in each of as many equal parts of the length; of the frames where seconds is null."""


class OtherVideos(FrameCounts):
    """The usable videos that are not listed one by one, together."""

    n_videos: Count


class CorruptVideos(ReportModel):
    """Videos that can't be used at all; single frames are in corruptImages."""

    total: Count
    kinds: dict[str, Count]
    videos: Annotated[list[CorruptFile], Field(max_length=MOST_CORRUPT)]


class VideoInformation(ReportModel):
    """Of a run over videos. Wherever else the report says image, it means a frame."""

    every_nth_frame: Annotated[int, Field(ge=1)] | None
    """As set; null where every frame was looked at, or targetFps is set."""
    target_fps: float | None
    """Frames looked at of each second, as set."""
    n_frames: Count
    """Decoded, of all videos."""
    n_looked_at: Count
    """Of these, after sampling; nInput of datasetSizes."""
    seconds: MaybeNumber
    """Length of all videos whose times are known."""
    selected_per_video: Spread | None
    """Selected frames of each usable video."""
    n_without_selected: Count
    """Usable videos without a selected frame."""
    frames_per_video: FramesPerVideo
    videos: Annotated[list[Video], Field(max_length=MOST_VIDEOS)]
    """Usable videos, those with the most frames first; the others are summed in otherVideos."""
    other_videos: OtherVideos
    corrupt_videos: CorruptVideos
