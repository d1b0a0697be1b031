"""Names of frames: lightly's, and what is read back from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightly.data._video import VideoDataset

from selection_job.catalog.frame_names import name_frame, parse_frame_name
from selection_job.catalog.image_names import VIDEO_EXTENSIONS

STEMS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
HOSTILE = ("a-1-mp4.png", "..", "a/../b", "x\ny", "日本-007-", "<&>\"'", "-", "", "a.b.c", " ", "a-00-mp4")


@pytest.mark.parametrize("n_frames", [1, 9, 10, 99, 100, 101, 5400])
@pytest.mark.parametrize("video", ["drive.mp4", "cam 1/drive.a.MOV", "日本/x-1.webm"])
def test_frames_are_named_as_lightly_names_them(video, n_frames):
    peer = VideoDataset.__new__(VideoDataset)
    peer.root, peer.videos, peer.offsets = ".", [video], [0]
    peer._length = n_frames
    assert [name_frame(video, index, n_frames) for index in range(n_frames)] == peer.get_filenames()


def test_names_sort_like_the_frames():
    names = [name_frame("a.mp4", index, 1000) for index in range(1000)]
    assert names == sorted(names)


@given(STEMS, st.sampled_from([*VIDEO_EXTENSIONS, ".MP4", ".MpEg"]), st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_name_is_read_back_exactly(stem, extension, index, more):
    assert parse_frame_name(name_frame(stem + extension, index, index + more)) == (stem + extension, index)


@pytest.mark.parametrize("stem", HOSTILE)
def test_odd_names_are_read_back_exactly(stem):
    assert parse_frame_name(name_frame(f"{stem}.mp4", 7, 12)) == (f"{stem}.mp4", 7)


@pytest.mark.parametrize(
    "name",
    [
        "", "a.png", "a-1.png", "a-x-mp4.png", "a-1-mp4.jpg", "a-1-mp4.png\n", "a-1-.png", "a--mp4.png", "a-१-mp4.png",
        "a-1-mp4/png", "a-+1-mp4.png", f"a-{'9' * 5000}-mp4.png", "a-1-m.p4.png", "1-mp4.png",
    ],
)  # fmt: skip
def test_what_is_no_frames_name_is_none(name):
    assert parse_frame_name(name) is None


@pytest.mark.parametrize(
    ("video", "index", "n_frames"),
    [("a.mp4", 3, 3), ("a.mp4", -1, 3), ("a.mp4", 0, 0), ("a", 0, 3), ("a.", 0, 3), ("a.x-y", 0, 3), ("a.b/c", 0, 3)],
)
def test_a_frame_that_can_not_be_is_refused(video, index, n_frames):
    with pytest.raises(ValueError, match="a"):
        name_frame(video, index, n_frames)
