"""RangedFile: an object as a file, whatever is read in which order, and no byte twice."""

import io
import os
import threading

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.errors import ObjectMissing
from selection_job.stores import ranged_file
from selection_job.stores.ranged_file import RangedFile

BLOCK = 64


class Shelf:
    """One object, and a list of what was asked for."""

    def __init__(self, content, parallel_reads=1):
        self.content, self.parallel_reads, self.asked = content, parallel_reads, []
        self._lock = threading.Lock()

    def read_range(self, key, start, end, *, version):
        assert (key, version) == ("a.mp4", "1")
        with self._lock:
            self.asked.append((start, end))
        return self.content[start:end]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(ranged_file, "BLOCK_BYTES", BLOCK)


def open_file(shelf):
    return RangedFile(shelf, "a.mp4", len(shelf.content), "1")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 300)),
        st.tuples(st.just("seek"), st.integers(0, 700), st.just(0)),
        st.tuples(st.just("seek"), st.integers(-50, 50), st.just(1)),
        st.tuples(st.just("seek"), st.integers(-100, 10), st.just(2)),
    ),
    max_size=30,
)


@given(st.binary(max_size=600), STEPS, st.sampled_from([1, 3, 64]))
def test_it_reads_as_a_file_in_memory_does(content, steps, parallel_reads):
    shelf = Shelf(content, parallel_reads)
    oracle = io.BytesIO(content)
    with open_file(shelf) as file:
        for name, *arguments in steps:
            if name == "seek" and arguments[1] and oracle.tell() * (arguments[1] == 1) + arguments[0] < 0:
                continue
            assert getattr(file, name)(*arguments) == getattr(oracle, name)(*arguments)
            assert file.tell() == oracle.tell()
    assert all(0 <= start < end <= len(content) for start, end in shelf.asked)


@pytest.mark.parametrize("parallel_reads", [1, 64])
@pytest.mark.parametrize("step", [1, 7, BLOCK, 1000])
def test_a_sequential_reader_gets_each_byte_once(step, parallel_reads):
    shelf = Shelf(os.urandom(100 * BLOCK + 5), parallel_reads)
    file = open_file(shelf)
    assert b"".join(iter(lambda: file.read(step), b"")) == shelf.content
    assert sorted(shelf.asked) == [(i, min(i + BLOCK, len(shelf.content))) for i in range(0, len(shelf.content), BLOCK)]


def test_the_first_and_the_last_block_are_fetched_once_whatever_lies_between():
    shelf = Shelf(os.urandom(100 * BLOCK))
    file = open_file(shelf)
    for place in (0, 99 * BLOCK, *range(0, 100 * BLOCK, BLOCK), 0):
        file.seek(place)
        file.read(10)
    assert len(shelf.asked) == 100


@given(st.binary(max_size=600), STEPS, st.sampled_from([1, 3, 64]))
def test_a_digest_tells_contents_apart_whatever_was_read_before(content, steps, parallel_reads):
    def digest(content, steps=()):
        shelf = Shelf(content, parallel_reads)
        with RangedFile(shelf, "a.mp4", len(content), "1", is_digested=True) as file:
            for name, *arguments in steps:
                if name == "read" or not arguments[1]:
                    getattr(file, name)(*arguments)
            return file.digest_content()

    assert digest(content, steps) == digest(content)
    assert digest(content) != digest(content + b"\0")
    for place in range(0, len(content), BLOCK):
        changed = bytearray(content)
        changed[place] ^= 1
        assert digest(bytes(changed)) != digest(content)


@pytest.mark.parametrize("parallel_reads", [1, 64])
def test_a_digest_behind_a_reader_asks_for_what_nobody_has_read(parallel_reads):
    shelf = Shelf(os.urandom(100 * BLOCK), parallel_reads)
    with RangedFile(shelf, "a.mp4", len(shelf.content), "1", is_digested=True) as file:
        file.seek(99 * BLOCK)  # an index at the end
        file.read(10)
        file.seek(0)
        file.read(60 * BLOCK)
        assert len(file.digest_content()) == 32
    assert len(shelf.asked) == len(set(shelf.asked)) == 100


def test_a_digest_that_is_stopped_reads_no_further():
    shelf = Shelf(os.urandom(100 * BLOCK))
    with RangedFile(shelf, "a.mp4", len(shelf.content), "1", is_digested=True) as file:
        assert file.digest_content(is_stopped=lambda: len(shelf.asked) >= 3) == b""
    assert len(shelf.asked) == 3


def test_a_reader_that_jumps_has_nothing_fetched_ahead():
    shelf = Shelf(os.urandom(100 * BLOCK), parallel_reads=64)
    with open_file(shelf) as file:
        for number in (50, 20, 70, 10):
            for offset in (0, 5, 10):
                file.seek(number * BLOCK + offset)
                file.read(5)
    assert len(shelf.asked) == 4


def test_what_the_store_says_is_raised_and_kept():
    shelf = Shelf(b"x" * 300)
    shelf.read_range = lambda *_, **__: (_ for _ in ()).throw(ObjectMissing("a.mp4 was replaced"))
    file = open_file(shelf)
    with pytest.raises(ObjectMissing, match="replaced"):
        file.read(10)
    assert isinstance(file.failure, ObjectMissing)


def test_no_thread_outlives_the_file_for_long():
    shelf = Shelf(os.urandom(50 * BLOCK), parallel_reads=64)
    file = open_file(shelf)
    file.read(5 * BLOCK)
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("range")]
    assert mine
    file.close()
    for thread in mine:
        thread.join(5)
        assert not thread.is_alive()


def make_long_video(path, container, options):
    """Return a video of 40 MB: a few frames of noise, again and again."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 480, 640, 3), dtype=np.uint8)
    with av.open(str(path), "w", format=container, options=options) as output:
        stream = output.add_stream("mpeg2video" if container == "mpeg" else "mjpeg", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p" if container == "mpeg" else "yuvj420p"
        stream.bit_rate, stream.codec_context.qmin = 100_000_000, 1
        stream.codec_context.qmax = 2
        packets = []
        for picture in noise:
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode()
        contents = [bytes(packet) for packet in packets]
        for place in range(40_000_000 // len(contents[0])):
            packet = av.Packet(contents[place % len(contents)])
            packet.stream, packet.pts, packet.dts = stream, place, place
            packet.time_base, packet.is_keyframe = stream.codec_context.time_base, True
            output.mux(packet)
    return path.read_bytes()


MUXINGS = {
    "mp4": ("mp4", {}),
    "mp4 with the index in front": ("mp4", {"movflags": "faststart"}),
    "matroska": ("matroska", {}),
    "avi": ("avi", {}),
    "mpeg": ("mpeg", {}),
}


@pytest.mark.parametrize("name", MUXINGS)
def test_a_demuxer_reads_a_large_file_once_whatever_its_format(name, monkeypatch, tmp_path):
    monkeypatch.setattr(ranged_file, "BLOCK_BYTES", 1024**2)
    content = make_long_video(tmp_path / "video", *MUXINGS[name])
    assert len(content) > 38_000_000
    for parallel_reads in (1, 64):
        shelf = Shelf(content, parallel_reads)
        with av.open(open_file(shelf)) as opened:
            assert sum(packet.size for packet in opened.demux(video=0)) > 38_000_000
        assert sum(end - start for start, end in shelf.asked) <= 1.02 * len(content)
