"""read_frames: order, threads, what frames and the ends of videos say, faults of the store, nothing left running."""

import functools
import gc
import io
import os
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import av
import numpy as np
import pytest
from painted_videos import FAST, make_video, paint, read_number, store_videos
from PIL import Image

from selection_job.catalog.catalog import Listing
from selection_job.errors import ObjectMissing, ObjectRefused, StorageRefused, StorageUnavailable
from selection_job.images import large_images
from selection_job.images.image_measures import MEASURES, measure_image
from selection_job.images.preprocessing import Preprocessing
from selection_job.manifest.medium import VIDEOS
from selection_job.reading import videos as reading
from selection_job.reading.file_digests import digest_files
from selection_job.reading.images import ReadOptions
from selection_job.reading.videos import VideoEnd, read_frames
from selection_job.stores import ranged_file
from selection_job.stores.counting import CountingStore
from selection_job.videos import video_file
from selection_job.videos.frame_pixels import convert_rgb, digest_rgb
from selection_job.videos.frame_sampling import FrameSampling

make = functools.cache(make_video)
ALL = FrameSampling()


def options(input_size_px=32, num_threads=2, **rest):
    return ReadOptions(preprocessing=input_size_px and Preprocessing(input_size_px), num_threads=num_threads, **rest)


def read(source, sampling=ALL, **rest):
    """Return the frames of each video, and the ends of all, and check that they come in order."""
    store, listing = source
    frames, ends = defaultdict(list), []
    for item in read_frames(store, listing, options=options(**rest), sampling=sampling):
        assert item.video_row == len(ends)
        if isinstance(item, VideoEnd):
            ends.append(item)
        else:
            frames[item.video_row].append(item)
    assert len(ends) == len(listing.names)
    return frames, ends


def number(frame):
    return read_number(Image.open(io.BytesIO(frame.image.thumbnail)))


def facts(frame):
    image = frame.image
    pixels = None if image.encoder_pixels is None else image.encoder_pixels.tobytes()
    return frame.video_row, frame.index, frame.pts, image.sha256, pixels, image.thumbnail, image.reason


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("decode-video", "read-frame"))]


@pytest.fixture(scope="module")
def every_codec(tmp_path_factory):
    videos = {f"{codec}.mp4": make(40, codec, container="mp4") for codec in FAST}
    return store_videos(tmp_path_factory.mktemp("codecs"), videos)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (ALL, list(range(40))),
        (FrameSampling(every_nth=7), [0, 7, 14, 21, 28, 35]),
        (FrameSampling(target_fps=5), [0, 6, 12, 18, 24, 30, 36]),
        (FrameSampling(target_fps=60), list(range(40))),
        (FrameSampling(every_nth=1000), [0]),
    ],
)
def test_every_codec_gives_the_frames_that_were_asked_for(every_codec, sampling, expected):
    frames, ends = read(every_codec, sampling)
    for row in range(len(ends)):
        assert [frame.index for frame in frames[row]] == expected
        assert [number(frame) for frame in frames[row]] == expected
    assert ends == [VideoEnd(row, 40) for row in range(len(ends))]


def test_a_frame_has_all_that_an_image_has(tmp_path):
    source = store_videos(tmp_path, {"a.mp4": make(3)})
    halve = lambda width, height: (width // 2, height // 2)  # noqa: E731
    frames, _ = read(source, measures=tuple(MEASURES), choose_size=halve)
    with av.open(io.BytesIO(make(3))) as peer:
        for frame, decoded in zip(frames[0], peer.decode(video=0), strict=True):
            rgb = convert_rgb(decoded)
            picture = Image.fromarray(rgb)
            image = frame.image
            assert (image.name, image.size_bytes, image.width_px, image.height_px, image.reason) == (
                "",
                0,
                160,
                120,
                None,
            )
            assert image.sha256 == digest_rgb(rgb)
            np.testing.assert_array_equal(image.encoder_pixels, Preprocessing(32).make_pixels(picture))
            assert image.resized_pixels.shape == (60, 80, 3)
            assert image.measures == measure_image(picture, tuple(MEASURES))
            assert (frame.pts, frame.seconds) == (decoded.pts, pytest.approx(decoded.time))


def test_equal_pictures_have_equal_digests_and_others_not(tmp_path):
    same = make_video(6, "ffv1", container="matroska", pixel_format="bgra", numbers=[1, 2, 1, 1, 2, 3])
    frames, _ = read(store_videos(tmp_path, {"a.mp4": same}))
    digests = [frame.image.sha256 for frame in frames[0]]
    assert [digests.index(digest) for digest in digests] == [0, 1, 0, 0, 1, 5]
    assert digest_rgb(np.zeros((2, 6, 3), np.uint8)) != digest_rgb(np.zeros((6, 2, 3), np.uint8))


def test_a_turned_frame_has_the_size_that_is_shown(tmp_path):
    turned = make_video(3, set_up=lambda stream: stream.set_display_rotation(90))
    frames, _ = read(store_videos(tmp_path, {"a.mp4": turned}))
    assert {(frame.image.width_px, frame.image.height_px) for frame in frames[0]} == {(120, 160)}


def test_bad_files_between_good_ones_say_why_and_end_nothing(tmp_path):
    videos = {
        "a.mp4": make(12),
        "b.mp4": b"",
        "c.mp4": b"text",
        "日本\n'<&>.mp4": make(12),
        "e.mp4": make(12)[:1000],
        "f.mp4": make(12),
    }
    frames, ends = read(store_videos(tmp_path, videos))
    assert [(end.reason or "").split(":")[0] for end in ends] == ["", "empty", "not a video", "", "damaged", ""]
    assert [end.n_frames for end in ends] == [12, 0, 0, 12, 0, 12]
    assert [len(frames[row]) for row in range(6)] == [12, 0, 0, 12, 0, 12]


def test_no_video_gives_nothing(tmp_path):
    assert read(store_videos(tmp_path, {})) == ({}, [])


def test_damaged_frames_are_corrupt_unless_nobody_checks(tmp_path):
    content = make(90)
    source = store_videos(
        tmp_path, {"a.mp4": content[: len(content) // 2] + bytes(60) + content[len(content) // 2 + 60 :]}
    )
    frames, ends = read(source)
    reasons = [frame.image.reason for frame in frames[0]]
    n_damaged = sum(reason is not None for reason in reasons)
    assert 0 < n_damaged < 30
    assert {reason.split(":")[0] for reason in reasons if reason} == {"damaged"}
    assert ends[0].reason is None
    assert ends[0].notes[0].endswith(f"{n_damaged} frames may show it")
    used, same_ends = read(source, check_corruptness=False)
    assert [frame.image.reason for frame in used[0]] == [None] * len(reasons)
    assert same_ends == ends


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path):
    videos = {f"{row}.mp4": make(row + 1, "mpeg4" if row % 3 else "libx264", container="mp4") for row in range(20)}
    source = store_videos(tmp_path, videos)
    runs = [read(source, FrameSampling(every_nth=2), num_threads=n) for n in (1, 2, 7)]
    told = [[facts(frame) for row in sorted(frames) for frame in frames[row]] for frames, _ in runs]
    assert told[0] == told[1] == told[2]
    assert runs[0][1] == runs[1][1] == runs[2][1]


def test_the_end_of_a_video_has_the_digest_of_its_bytes_also_of_a_broken_one(tmp_path):
    whole = make(20, container="mp4")
    videos = {"a.mp4": whole, "b.mp4": whole + b"\0", "c.mp4": b"no video", "d.mp4": whole, "e.mp4": b""}
    store, listing = store_videos(tmp_path, videos)
    items = read_frames(store, listing, options=options(), sampling=FrameSampling(every_nth=9), is_digested=True)
    told = [item.content for item in items if isinstance(item, VideoEnd)]
    assert told == list(digest_files(store, listing, VIDEOS))
    assert told[0] == told[3]
    assert len(set(told)) == 4


@pytest.mark.parametrize("taken", [0, 1, 5, 41])
def test_a_consumer_that_stops_leaves_no_thread_and_no_open_video(tmp_path, monkeypatch, taken):
    opened = []
    remember = lambda *args, **rest: opened.append(open_video(*args, **rest)) or opened[-1]  # noqa: E731
    open_video = reading.open_video
    monkeypatch.setattr(reading, "open_video", remember)
    store, listing = store_videos(tmp_path, {f"{row}.mp4": make(40) for row in range(9)})
    items = read_frames(store, listing, options=options(num_threads=3), sampling=ALL)
    for _ in range(taken):
        next(items)
    items.close()
    assert own_threads() == []
    assert len(opened) <= 5
    for video in opened:
        with pytest.raises(AssertionError, match="not open"):
            list(video.container.demux())


def test_only_so_many_frames_are_made_ahead_of_the_consumer(tmp_path, monkeypatch):
    made = []
    examine = reading.examine_rgb
    monkeypatch.setattr(reading, "examine_rgb", lambda *args: made.append(1) or examine(*args))
    store, listing = store_videos(tmp_path, {f"{row}.mp4": make(90) for row in range(3)})
    items = read_frames(store, listing, options=options(num_threads=1), sampling=ALL)
    for taken in range(1, 60):
        next(items)
        assert len(made) <= taken + 40


def test_large_frames_shorten_what_is_made_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_STRETCH_BYTES", 1)
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 1)
    frames, ends = read(store_videos(tmp_path, {"a.mp4": make(20), "b.mp4": make(20)}))
    assert [[number(frame) for frame in frames[row]] for row in (0, 1)] == [list(range(20))] * 2
    assert [end.n_frames for end in ends] == [20, 20]


class Faults:
    """A store of one kind of video whose objects may raise when they are read."""

    url = "faults://"
    parallel_reads = 4

    def __init__(self, objects, faulty_from=0):
        self.objects = objects
        self.faulty_from = faulty_from

    def read_range(self, key, start, end, *, version=""):
        content = self.objects[key]
        if isinstance(content, Exception):
            if end > self.faulty_from:
                raise content
            content = make(40, faststart=True)
        return content[start:end]

    def listing(self):
        size = len(make(40, faststart=True))
        sizes = [size if isinstance(content, Exception) else len(content) for content in self.objects.values()]
        return Listing(list(self.objects), np.array(sizes, dtype=np.int64), [""] * len(sizes))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(ObjectMissing("b.mp4"), "gone: "), (ObjectRefused("no permission to READ b.mp4"), "not readable: no permission")],
)
def test_a_video_that_the_store_does_not_give_is_corrupt(fault, reason):
    store = Faults({"a.mp4": make(40), "b.mp4": fault, "c.mp4": make(40)})
    _, ends = read((store, store.listing()))
    assert [end.n_frames for end in ends] == [40, 0, 40]
    assert ends[1].reason.startswith(reason)


@pytest.mark.parametrize("fault", [StorageRefused("no such bucket"), StorageUnavailable("timeout")])
def test_faults_of_the_storage_end_the_run_and_leave_no_thread(fault, capfd):
    store = Faults({"a.mp4": make(40), "b.mp4": fault, "c.mp4": make(40)})
    with pytest.raises(type(fault), match=str(fault)):
        read((store, store.listing()))
    assert own_threads() == []
    assert capfd.readouterr() == ("", "")


def test_a_video_that_goes_away_half_way_keeps_its_frames(monkeypatch, capfd):
    monkeypatch.setattr(ranged_file, "BLOCK_BYTES", 500)
    store = Faults({"a.mp4": ObjectMissing("a.mp4")}, faulty_from=len(make(40, faststart=True)) * 3 // 4)
    frames, ends = read((store, store.listing()))
    sound = [number(frame) for frame in frames[0] if frame.image.reason is None]
    assert 10 < len(sound) < 40
    assert sound == list(range(len(sound)))
    assert ends[0].reason is None
    assert ends[0].notes[-1] == "gone: it was listed but is not there any more, or was replaced"
    assert capfd.readouterr() == ("", "")


def test_a_name_that_is_not_utf8_is_corrupt():
    store = Faults({"caf\udce9.mp4": make(40)})
    _, ends = read((store, store.listing()))
    assert ends == [VideoEnd(0, 0, "name is not UTF-8: rename the file")]


def test_an_unknown_way_of_colors_is_a_reason_and_no_end(tmp_path, monkeypatch):
    def refuse(picture):
        raise av.error.NotImplementedError(78, "Function not implemented")

    monkeypatch.setattr(reading, "convert_rgb", refuse)
    frames, ends = read(store_videos(tmp_path, {"a.mp4": make(3)}))
    assert {frame.image.reason for frame in frames[0]} == {
        "unknown colors: yuv420p can't be converted to RGB (Function not implemented)"
    }
    assert ends == [VideoEnd(0, 3)]


def test_frames_are_freed_at_once_and_not_by_the_garbage_collector(tmp_path):
    source = store_videos(tmp_path, {f"{row}.mp4": make(40) for row in range(3)})
    gc.collect()
    gc.disable()
    try:
        read(source)
        held = {type(held).__name__ for held in gc.get_objects()}
    finally:
        gc.enable()
    assert held.isdisjoint({"VideoFrame", "VideoStream", "VideoCodecContext"})


SMALL_SCALE = (ranged_file, "BLOCK_BYTES", 500), (ranged_file, "_KEPT_BLOCKS", 8), (video_file, "_BUFFER_BYTES", 256)


@pytest.mark.parametrize("form", [{"faststart": True}, {"fragmented": True}, {"container": "matroska"}])
def test_bytes_are_read_once_whatever_the_form(tmp_path, monkeypatch, form):
    for module, name, value in SMALL_SCALE:
        monkeypatch.setattr(module, name, value)
    store, listing = store_videos(tmp_path, {"a.mp4": make(60, **form)})
    counted = CountingStore(store)
    _, ends = read((counted, listing))
    assert ends == [VideoEnd(0, 60)]
    assert counted.bytes_read <= 1.1 * listing.sizes_bytes[0]


_PEAK = """
import gc
gc.disable()
import re, sys
from pathlib import Path
from painted_videos import store_videos
from test_videos_reading import ALL, options, read_frames
content = Path(sys.argv[1]).read_bytes()
store, listing = store_videos(Path(sys.argv[2]), {f"{row}.mp4": content for row in range(int(sys.argv[3]))})
for item in read_frames(store, listing, options=options(), sampling=ALL):
    pass  # nothing is kept: what it keeps is what is measured
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])  # ru_maxrss begins with the parent's
"""


def measure_peak(folder, n_videos):
    """Return the peak memory in kB of a process of its own that reads so many videos."""
    video = folder / "video"
    video.write_bytes(make(30, size=(640, 480)))
    command = [sys.executable, "-c", _PEAK, str(video), str(folder / str(n_videos)), str(n_videos)]
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent, env={"PYTHONPATH": "."}
    )
    return int(ran.stdout)


def test_memory_does_not_depend_on_the_number_of_videos(tmp_path):
    assert measure_peak(tmp_path, 60) < 1.2 * measure_peak(tmp_path, 5)


def test_making_a_video_leaves_this_thread_its_priority():
    make(2, "libsvtav1", container="mp4")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_painted_videos_have_frames_between_key_frames_and_refer_forward():
    with av.open(io.BytesIO(make(40))) as peer:
        kinds = [frame.pict_type for frame in peer.decode(video=0)]
    assert len(set(kinds)) == 3
    assert paint(1).shape == (120, 160, 3)
