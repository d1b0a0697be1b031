"""Which frames are looked at: against a search of every tick through every frame."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.videos.frame_sampling import FrameSampler, FrameSampling

MILLISECONDS = Fraction(1, 1000)


def take(sampling, timestamps, time_base=MILLISECONDS, average_rate=None):
    sampler = FrameSampler(sampling, time_base=time_base, average_rate=average_rate)
    return [index for index, pts in enumerate(timestamps) if sampler.takes(index, pts)]


def search(fps, seconds, tolerance):
    """Return the first frame at or after each tick, by looking at all of them."""
    taken, tick = set(), 0
    while True:
        due = tick / Fraction(str(fps))
        first = next((index for index, at in enumerate(seconds) if at - seconds[0] + tolerance >= due), None)
        if first is None:
            return sorted(taken)
        taken.add(first)
        tick += 1


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 12) | st.integers(60, 90), max_size=12),
    st.integers(-500, 500),
    st.sampled_from([0.1, 0.5, 1, 2.5, 3.3, 7, 10, 23.976, 30]),
    st.sampled_from([MILLISECONDS, Fraction(1, 25), Fraction(1, 90000), Fraction(1001, 30000)]),
)
def test_the_first_frame_at_or_after_each_tick_is_taken(steps, start, fps, time_base):
    timestamps = [start + sum(steps[:place]) for place in range(len(steps) + 1)]
    expected = search(fps, [pts * time_base for pts in timestamps], time_base / 2)
    assert take(FrameSampling(target_fps=fps), timestamps, time_base) == expected


@given(st.integers(1, 50), st.integers(0, 200))
def test_every_nth_frame_counts_all_frames(nth, n_frames):
    assert take(FrameSampling(every_nth=nth), [None] * n_frames) == list(range(0, n_frames, nth))


def test_all_frames_are_taken_without_a_setting():
    assert take(FrameSampling(), [3, None, 1]) == [0, 1, 2]


@pytest.mark.parametrize("rate", [10, 24, 25, 29.97, 30, 50, 59.94, 60, 120])
@pytest.mark.parametrize("asked", ["as many", "more"])
def test_timestamps_in_milliseconds_lose_no_frame_of_a_video_with_fewer(rate, asked):
    timestamps = [round(1000 * index / rate) for index in range(500)]
    fps = rate if asked == "as many" else rate * 1.5
    assert take(FrameSampling(target_fps=fps), timestamps) == list(range(500))


@pytest.mark.parametrize(("rate", "fps", "step"), [(30, 10, 3), (25, 5, 5), (60, 1, 60), (24, 0.5, 48)])
def test_a_share_of_an_even_rate_is_every_nth(rate, fps, step):
    for time_base, unit in ((Fraction(1, rate), 1), (Fraction(1, 512 * rate), 512)):
        timestamps = [unit * index for index in range(300)]
        assert take(FrameSampling(target_fps=fps), timestamps, time_base) == list(range(0, 300, step))


def test_without_timestamps_the_average_rate_and_the_number_decide():
    assert take(FrameSampling(target_fps=10), [None] * 30, average_rate=Fraction(30)) == list(range(0, 30, 3))


def test_timestamps_that_begin_anew_go_on_at_the_average_rate():
    timestamps = [*range(0, 1000, 100), *range(0, 3000, 100)]
    taken = take(FrameSampling(target_fps=5), timestamps, average_rate=Fraction(10))
    assert taken == list(range(0, 40, 2))


def test_one_missing_timestamp_moves_nothing():
    timestamps = list(range(0, 4000, 100))
    expected = take(FrameSampling(target_fps=2), timestamps)
    timestamps[13] = None
    assert take(FrameSampling(target_fps=2), timestamps, average_rate=Fraction(10)) == expected


def test_a_timestamp_from_the_far_future_takes_one_frame_and_stops_none():
    timestamps = list(range(0, 2000, 100))
    timestamps[5] = 10**15
    taken = take(FrameSampling(target_fps=1), timestamps, average_rate=Fraction(10))
    assert len(taken) <= 4
    assert taken[:2] == [0, 5]
    assert max(taken) > 9


def test_frames_of_which_nothing_says_when_they_are_shown_are_all_taken():
    assert take(FrameSampling(target_fps=1), [None] * 5) == [0, 1, 2, 3, 4]
    assert take(FrameSampling(target_fps=1), [7, 7, 7]) == [0, 1, 2]
