"""read_exact: the same pictures once more, whatever the seek brings, and no more bytes than it takes."""

import functools
import random
import struct

import numpy as np
import pytest
from painted_videos import FAST, make_video, read_number
from test_videos_reading import Faults, read

from selection_job.catalog.catalog import Listing
from selection_job.errors import ObjectMissing, StorageUnavailable
from selection_job.videos import exact_frames
from selection_job.videos.exact_frames import WantedFrame, read_exact

KINDS = [
    *((codec, "mp4") for codec in FAST),
    ("libx264", "matroska"), ("libx264", "mpegts"), ("libx264", "avi"), ("libx264", "h264"), ("libx265", "mpegts"),
    ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("mpeg2video", "mpeg"),
]  # fmt: skip


class Counted:
    """A store of one object that remembers what was read of it."""

    url = "counted://"
    parallel_reads = 4

    def __init__(self, content):
        self.content = content
        self.n_bytes = 0

    def read_range(self, key, start, end, *, version=""):
        part = self.content[start:end]
        self.n_bytes += len(part)
        return part


@functools.cache
def first_pass(codec, container, options=()):
    """Return a video and its frames as a run over it sees them."""
    content = make_video(60, codec, container=container, options=dict(options))
    listing = Listing(["a.mp4"], np.array([len(content)]), [""])
    frames, _ = read((Counted(content), listing))
    wanted = [WantedFrame(frame.index, frame.pts, frame.image.sha256) for frame in frames[0]]
    return content, wanted


def find(content, wanted):
    """Return the numbers of the frames that were found, by their place, and the reasons for the others."""
    found = list(read_exact(Counted(content), "a.mp4", len(content), "", wanted))
    assert len(found) == len(wanted)
    numbers = {frame.index: read_number(image) for frame, image in found if not isinstance(image, str)}
    return numbers, {frame.index: text for frame, text in found if isinstance(text, str)}


@pytest.mark.parametrize(("codec", "container"), KINDS)
def test_the_frames_are_exactly_those(codec, container):
    content, frames = first_pass(codec, container)
    choose = random.Random(3)
    subsets = [[0], [59], [58, 59], [20, 21, 22], range(60), [0, 59], *(choose.sample(range(60), 7) for _ in range(4))]
    for subset in subsets:
        assert find(content, [frames[index] for index in subset]) == ({index: index for index in subset}, {})


OPEN = "open-gop=1:bframes=3:b-pyramid=2:keyint=10"


@pytest.mark.parametrize("options", [(("x264-params", OPEN), ("preset", "medium")), (("bf", "0"), ("g", "1"))])
def test_open_and_very_short_groups_are_found(options):
    content, frames = first_pass("libx264", "mp4", options)
    assert find(content, frames) == ({index: index for index in range(60)}, {})


def test_an_mp4_is_found_by_seeking_alone(monkeypatch):
    content, frames = first_pass("libx264", "mp4")
    for way in ("_seek_earlier", "_decode_from_start"):
        monkeypatch.setattr(exact_frames, way, None)
    assert find(content, frames[17:40])[0] == {index: index for index in range(17, 40)}


def test_where_the_seek_misses_the_video_is_decoded_from_its_start(monkeypatch):
    content, frames = first_pass("libx264", "mp4")
    monkeypatch.setattr(exact_frames, "_seek_frames", lambda video, wanted: iter(()))
    monkeypatch.setattr(exact_frames, "_seek_earlier", lambda video, wanted: iter(()))
    assert find(content, [frames[index] for index in (3, 44)]) == ({3: 3, 44: 44}, {})


def test_a_timestamp_that_lies_does_not_deceive():
    content, frames = first_pass("libx264", "mp4")
    lying = WantedFrame(7, frames[50].pts, frames[7].sha256)
    assert find(content, [lying]) == ({7: 7}, {})


def test_another_picture_is_told_and_not_taken():
    content, frames = first_pass("libx264", "mp4")
    other = WantedFrame(5, frames[5].pts, bytes(32))
    beyond = WantedFrame(500, -1, bytes(32))
    numbers, reasons = find(content, [frames[4], other, beyond])
    assert numbers == {4: 4}
    assert reasons[5].startswith("frame 5 does not decode to the picture that was selected")
    assert set(reasons) == {5, 500}


def test_nothing_wanted_reads_nothing():
    store = Counted(make_video(60))
    assert list(read_exact(store, "a.mp4", len(store.content), "", [])) == []
    assert store.n_bytes == 0


def test_a_video_that_is_gone_or_broken_gives_reasons(capfd):
    wanted = [WantedFrame(0, 0, bytes(32)), WantedFrame(1, 512, bytes(32))]
    for content, reason in ((ObjectMissing("a.mp4"), "gone: "), (b"text", "not a video")):
        found = list(read_exact(Faults({"a.mp4": content}), "a.mp4", 4, "", wanted))
        assert [frame for frame, _ in found] == wanted
        assert all(text.startswith(reason) for _, text in found)
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_the_storage_ends_it():
    with pytest.raises(StorageUnavailable, match="timeout"):
        list(read_exact(Faults({"a": StorageUnavailable("timeout")}), "a", 5000, "", [WantedFrame(0, 0, bytes(32))]))


def test_a_time_before_which_there_is_none_costs_the_frame_alone():
    content = bytearray(make_video(4, "libvpx-vp9", container="ivf"))
    place = 32
    for number in range(4):  # a header of 12 bytes for each frame: its size, its time
        (size_bytes,) = struct.unpack_from("<I", content, place)
        struct.pack_into("<q", content, place + 4, number - 2**63 + 1)
        place += 12 + size_bytes
    numbers, lost = find(bytes(content), [WantedFrame(0, 1 - 2**63, b"another picture")])
    assert not numbers
    assert "does not decode to the picture" in lost[0]
