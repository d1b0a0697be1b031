"""Decoding: the frames of one open video in the order of presentation, counted as the decoder gives them.

The index of a frame is how many frames the decoder gave before it; what a damaged spot swallowed has no index. This is
the number that PyAV's own loop over a video counts, and that predictions are named by.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from selection_job.images.decoding import MAX_PIXELS
from selection_job.manifest.noun import FRAME
from selection_job.videos.video_file import OpenVideo, explain

_HEALED_AFTER = 300
"""So many frames behind a damaged spot are taken for sound again where no key frame came: streams of cameras refresh
their picture bit by bit and have none."""
_SECONDS_ASIDE = 2.0  # sound may go on a little longer


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame as FFmpeg holds it, not converted yet."""

    index: int
    pts: int | None
    seconds: float  # NaN where there is no timestamp
    is_damaged: bool
    """The decoder marked it, or it may refer to a frame that is damaged: it may show what never was."""
    picture: VideoFrame

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return sum(plane.buffer_size for plane in self.picture.planes)


class Decoding:
    """One pass over a video. frames() may be taken once; the counts are those of the frames taken so far."""

    def __init__(self, video: OpenVideo, is_stopped: Callable[[], bool] = lambda: False) -> None:
        self.time_base = video.stream.time_base or Fraction(1, 1)
        self.average_rate = video.stream.average_rate or video.stream.guessed_rate
        self.n_frames = 0
        self._video = video
        self._is_stopped = is_stopped
        self._n_packets = 0
        self._n_damaged_spots = 0
        self._n_damaged_frames = 0
        self._n_untimed = 0
        self._n_unordered = 0
        self._last_pts: int | None = None
        self._frames_to_heal = 0
        self._last_fault = ""
        self._early_end = ""

    def frames(self) -> Iterator[DecodedFrame]:
        """Yield the frames, until is_stopped. Damage is counted and no error; what the file raises is raised."""
        held: deque[DecodedFrame] = deque()
        for packet in self._packets():
            if self._is_stopped():
                return
            n_spots = self._n_damaged_spots
            for picture in self._decode(packet):
                held.append(self._number(picture))
            if self._n_damaged_spots > n_spots:
                self._mark_back(held)
            while len(held) > self._video.stream.codec_context.reorder_depth:
                yield held.popleft()
        yield from held

    def reason(self) -> str | None:
        """Return why a video that is through can't be used, or None where it gave a frame."""
        if self.n_frames:
            return None
        context = self._video.stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            return f"too large: {context.width} x {context.height} pixels, the limit is {MAX_PIXELS}"
        if fault := self._early_end or self._last_fault:
            return f"damaged: no frame could be decoded ({fault})"
        return "empty: the video has no frame"

    def notes(self) -> tuple[str, ...]:
        """Return sentences on what is odd about a video that is through."""
        return tuple(self._find_oddities())

    def _find_oddities(self) -> Iterator[str]:
        if self._n_damaged_spots:
            shown = f", {_count(self._n_damaged_frames, FRAME.singular)} may show it" if self._n_damaged_frames else ""
            yield f"{_count(self._n_damaged_spots, 'damaged spot')}{shown}"
        if self._early_end:
            yield f"it breaks off after {_count(self.n_frames, FRAME.singular)}: {self._early_end}"
        elif 0 < self._n_packets < (promised := len(self._video.stream.index_entries)):
            yield f"it breaks off: its index promises {promised} frames, {self._n_packets} are there"
        elif (missing := self._missing_seconds()) > max(_SECONDS_ASIDE, 2 / (self.average_rate or 1)):
            yield f"it breaks off: its last frame is {missing:.1f} s before the end that its header promises"
        if self._n_untimed:
            yield f"{_count(self._n_untimed, FRAME.singular)} without a timestamp"
        if self._n_unordered:
            yield f"{_count(self._n_unordered, 'timestamp')} not after the one before"

    def _missing_seconds(self) -> float:
        """Return how much a Matroska or WebM file lacks: it has no index of all frames, and just ends."""
        container = self._video.container
        if self._last_pts is None or not container.duration or not container.format.name.startswith("matroska"):
            return 0.0
        return float(container.duration / 1_000_000 - self._last_pts * self.time_base)

    def _packets(self) -> Iterator["Packet[VideoStream] | None"]:
        """Yield the packets of the stream, and one at the end that brings out what the decoder holds."""
        try:
            for packet in self._video.container.demux(self._video.stream):
                self._n_packets += packet.pos is not None
                if packet.size:  # an AVI file has empty ones, which would end the decoding
                    yield packet
        except IndexError:  # a damaged file brought up another stream, and PyAV stumbles over it, at the very end
            pass
        except Exception as error:  # a hostile file may bring about anything, and one file never ends a run
            self._early_end = explain(error)
        yield None

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            return self._video.stream.codec_context.decode(packet)
        except av.error.EOFError:
            return []
        except Exception as error:  # as above
            self._last_fault = explain(error)
            self._note_damage()
            return []

    def _number(self, picture: VideoFrame) -> DecodedFrame:
        is_damaged = self._is_damaged(picture)
        self._note_time(picture.pts)
        self.n_frames += 1
        self._n_damaged_frames += is_damaged
        seconds = math.nan if picture.pts is None else float(picture.pts * self.time_base)
        return DecodedFrame(self.n_frames - 1, picture.pts, seconds, is_damaged, picture)

    def _is_damaged(self, picture: VideoFrame) -> bool:
        if picture.is_corrupt:
            self._note_damage()
        elif picture.key_frame:
            self._frames_to_heal = 0
        is_damaged = self._frames_to_heal > 0
        self._frames_to_heal -= is_damaged
        return is_damaged

    def _mark_back(self, held: deque[DecodedFrame]) -> None:
        """Mark the frames that are shown before the damaged one and may refer to it, back to the last key frame."""
        for place in range(len(held) - 1, -1, -1):
            if held[place].picture.key_frame:
                return
            self._n_damaged_frames += not held[place].is_damaged
            held[place] = replace(held[place], is_damaged=True)

    def _note_damage(self) -> None:
        self._n_damaged_spots += self._frames_to_heal == 0
        self._frames_to_heal = _HEALED_AFTER

    def _note_time(self, pts: int | None) -> None:
        if pts is None:
            self._n_untimed += 1
            return
        self._n_unordered += self._last_pts is not None and pts <= self._last_pts
        self._last_pts = pts


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
