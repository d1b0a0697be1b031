"""FrameSampling: which frames of a video are looked at, from their numbers and timestamps alone."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class FrameSampling:
    """Every n-th frame, or so many a second; all where neither is set.

    every_nth   1 or more: the frames 0, n, 2n, … as the decoder gives them
    target_fps  above 0: the first frame at or after each tick k / target_fps, counted from the first frame; all frames
                of a video that has fewer a second
    """

    every_nth: int | None = None
    target_fps: float | None = None


class FrameSampler:
    """Says of one video's frames, asked in their order, which are looked at.

    time_base     seconds of a unit of the timestamps
    average_rate  frames a second as the container says; None where it does not
    A timestamp that is missing, or not after the one before, says nothing: that frame is taken to follow the one before
    at the average rate, and where there is no rate either, it is looked at.
    """

    def __init__(self, sampling: FrameSampling, *, time_base: Fraction, average_rate: Fraction | None) -> None:
        self._every_nth = sampling.every_nth
        # as the user wrote it: the binary number for 0.1 is larger, and would put each tick before its time
        self._fps = None if sampling.target_fps is None else Fraction(repr(float(sampling.target_fps)))
        self._time_base = time_base
        self._frame_seconds = 1 / average_rate if average_rate else None
        self._seconds = Fraction(0)  # of the last frame, since the first
        self._anchor: tuple[int, Fraction] | None = None  # the last timestamp, and the seconds then
        self._last_tick = 0

    def takes(self, index: int, pts: int | None) -> bool:
        """Say whether the frame is looked at. Every frame of the video is asked about, in order."""
        if self._fps is None:
            return self._every_nth is None or index % self._every_nth == 0
        is_timed = self._advance(index, pts)
        # Timestamps are rounded: in a WebM file frames of 30 a second stand at 33, 67 and 100 ms.
        rounding = self._time_base / 2 if self._anchor else 0
        tick = int((self._seconds + rounding) * self._fps)
        is_due = index == 0 or not is_timed or tick > self._last_tick
        self._last_tick = tick
        return is_due

    def _advance(self, index: int, pts: int | None) -> bool:
        """Move to the time of the next frame; return False where nothing says what it is."""
        is_timed = True
        if pts is not None and self._anchor is not None and pts > self._anchor[0]:
            self._seconds = max(self._seconds, self._anchor[1] + (pts - self._anchor[0]) * self._time_base)
        elif index > 0 and self._frame_seconds is not None:
            self._seconds += self._frame_seconds
        else:
            is_timed = index == 0
        if pts is not None:
            self._anchor = (pts, self._seconds)
        return is_timed
