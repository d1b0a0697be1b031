"""Frames of one video: which, in what order, color and position, and what is said of damaged and hostile files."""

import functools
import io
import math
import random
import struct
import zlib
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given
from hypothesis import strategies as st
from painted_videos import FAST, make_video, paint, read_number
from PIL import Image

from selection_job.videos import decoding, video_file
from selection_job.videos.decoding import Decoding
from selection_job.videos.frame_pixels import convert_rgb
from selection_job.videos.mp4_boxes import is_fragmented, promises_too_much
from selection_job.videos.video_file import CorruptVideo, open_video

make = functools.cache(make_video)


def decode(content, num_threads=2):
    """Return the frames of a video, (h, w, 3) RGB each, and what was noted."""
    video = open_video(io.BytesIO(content), num_threads=num_threads)
    frames, passed = [], Decoding(video)
    for frame in passed.frames():
        assert frame.index == len(frames)
        frames.append((frame, convert_rgb(frame.picture)))
    outcome = passed.reason(), passed.notes()
    video.close()
    return frames, outcome


def numbers(frames):
    return [read_number(Image.fromarray(rgb)) for _, rgb in frames]


def zero(content, start, length=60):
    return content[:start] + bytes(length) + content[start + length :]


def refuse(content):
    with pytest.raises(CorruptVideo) as caught:
        open_video(io.BytesIO(content), num_threads=1)
    return str(caught.value)


@pytest.mark.parametrize("codec", FAST)
def test_every_frame_of_every_codec_has_its_number(codec):
    content = make(45, codec)
    frames, outcome = decode(content)
    assert numbers(frames) == list(range(45))
    assert outcome == (None, ())
    with av.open(io.BytesIO(content)) as peer:
        assert [frame.pts for frame, _ in frames] == [frame.pts for frame in peer.decode(video=0)]


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mov"), ("libx264", "matroska"), ("libx264", "mpegts"), ("libx264", "h264"), ("libx264", "flv"),
     ("libx265", "hevc"), ("mpeg4", "mp4"), ("mpeg4", "m4v"), ("mpeg2video", "mpeg"), ("mpeg1video", "mpeg1video"),
     ("libsvtav1", "ivf"), ("libvpx-vp9", "ivf"), ("libvpx", "webm"), ("mjpeg", "avi"), ("wmv2", "asf")],
)  # fmt: skip
def test_every_container_gives_all_frames(codec, container):
    assert numbers(decode(make(30, codec, container=container))[0]) == list(range(30))


@pytest.mark.parametrize(
    ("codec", "pixel_format", "size"),
    [("libx264", "yuv420p10le", (160, 120)), ("libx264", "yuv444p", (161, 121)), ("libx264", "gray", (160, 120)),
     ("libx264", "yuv422p", (160, 121)), ("libx265", "yuv420p10le", (160, 120)), ("ffv1", "yuv420p", (163, 99)),
     ("ffv1", "gray16le", (64, 48)), ("ffv1", "bgra", (64, 48)), ("libvpx-vp9", "yuva420p", (160, 120)),
     ("ffv1", "yuv444p16le", (64, 48)), ("rawvideo", "yuv420p", (64, 48)), ("libx264", "yuv444p", (8, 3))],
)  # fmt: skip
def test_every_pixel_format_and_odd_size_becomes_rgb(codec, pixel_format, size):
    frames, outcome = decode(make(12, codec, container="matroska", pixel_format=pixel_format, size=size))
    assert {rgb.shape for _, rgb in frames} == {(size[1], size[0], 3)}
    assert outcome == (None, ())
    if min(size) > 8:
        assert numbers(frames) == list(range(12))


def color(rgb, space, value_range):
    """Return a video of one color, in a matrix and range that its stream names."""

    def set_up(stream):
        stream.codec_context.colorspace = {"ITU709": 1, "ITU601": 6, "BT2020": 9}[space]
        stream.codec_context.color_range = {"MPEG": 1, "JPEG": 2}[value_range]

    picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), rgb, dtype=np.uint8), format="rgb24")
    picture = picture.reformat(format="yuv444p", dst_colorspace=space, dst_color_range=value_range)
    return make_video(1, size=(64, 64), pixel_format="yuv444p", options={"crf": "1"}, set_up=set_up, frames=[picture])


@pytest.mark.parametrize("space", ["ITU709", "ITU601", "BT2020"])
@pytest.mark.parametrize("value_range", ["MPEG", "JPEG"])
def test_colors_are_those_that_the_stream_names(space, value_range):
    for rgb in [(255, 0, 0), (0, 200, 30), (10, 20, 250), (255, 255, 255), (0, 0, 0)]:
        ((_, decoded),), _ = decode(color(rgb, space, value_range))
        np.testing.assert_allclose(decoded[20:40, 20:40], np.full((20, 20, 3), rgb), atol=3)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90, 88])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_are_upright_as_a_player_shows_them(degrees, mirrored):
    content = make_video(5, set_up=lambda stream: stream.set_display_rotation(degrees, mirrored))
    frames, _ = decode(content)
    quarters = round(degrees / 90)
    for number, (_, rgb) in enumerate(frames):
        turned = np.rot90(paint(number), quarters)
        np.testing.assert_allclose(rgb, turned[:, ::-1] if mirrored else turned, atol=60)
        assert rgb.flags.c_contiguous
    if not mirrored:
        assert -round(frames[0][0].picture.rotation / 90) % 4 == -quarters % 4


def test_frames_keep_their_size_where_it_changes_in_the_middle():
    frames, _ = decode(make(10, container="h264") + make(10, container="h264", size=(200, 100)))
    assert numbers(frames) == [*range(10), *range(10)]
    assert [rgb.shape[:2] for _, rgb in frames] == [(120, 160)] * 10 + [(100, 200)] * 10


def test_times_of_a_variable_rate_are_the_timestamps():
    frames, outcome = decode(make(20, pts=tuple(n * n for n in range(20)), time_base="1/100"))
    assert [frame.seconds for frame, _ in frames] == pytest.approx([n * n / 100 for n in range(20)])
    assert outcome == (None, ())


def test_frames_without_timestamps_are_kept_and_told():
    frames, outcome = decode(make(12, container="h264"))
    assert {frame.pts for frame, _ in frames} == {None}
    assert all(math.isnan(frame.seconds) for frame, _ in frames)
    assert outcome == (None, ("12 frames without a timestamp",))


def test_timestamps_that_do_not_increase_are_kept_and_told():
    frames, (reason, notes) = decode(make(24, container="avi"))  # AVI knows no order of presentation
    assert numbers(frames) == list(range(24))
    assert reason is None
    assert "timestamps not after the one before" in notes[0]


def add_sound(output):
    """Add a silent track that begins before the video."""
    stream = output.add_stream("aac", rate=44100)

    def finish():
        for place in range(30):
            samples = np.zeros((1, 1024), dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, place * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode())

    return finish


def add_cover(output):
    """Add a picture of what the video is about."""
    stream = output.add_stream("mjpeg", rate=30)
    stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    frame = av.VideoFrame.from_ndarray(paint(255, 640, 480), format="rgb24")
    frame.pts = 0
    return lambda: output.mux([*stream.encode(frame), *stream.encode()])


def add_other_view(output, disposition=0):
    """Add a second video of higher numbers."""
    stream = output.add_stream("libx264", rate=30, options=FAST["libx264"])
    stream.width, stream.height, stream.pix_fmt, stream.disposition = 160, 120, "yuv420p", disposition

    def finish():
        for number in range(100, 120):
            frame = av.VideoFrame.from_ndarray(paint(number), format="rgb24")
            frame.pts = number - 100
            output.mux(stream.encode(frame))
        output.mux(stream.encode())

    return finish


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("before", [add_sound, add_cover])
def test_sound_and_cover_art_are_no_video(container, before):
    assert numbers(decode(make_video(20, container=container, before=before))[0]) == list(range(20))


def test_of_two_videos_the_default_one_is_taken():
    first = functools.partial(add_other_view, disposition=Disposition.default)
    assert numbers(decode(make_video(20, container="matroska", before=first))[0]) == list(range(100, 120))
    is_default = {"set_up": lambda stream: setattr(stream, "disposition", Disposition.default)}
    second = make_video(20, container="matroska", before=add_other_view, **is_default)
    assert numbers(decode(second)[0]) == list(range(20))


def without_frames(before=None):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"movflags": "empty_moov"}) as output:
        if before:
            before(output)()
        else:
            stream = output.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            output.start_encoding()
    return file.getvalue()


def test_a_video_without_frames_is_empty():
    assert decode(without_frames()) == ([], ("empty: the video has no frame", ()))


def test_a_file_without_a_video_says_what_it_holds():
    leave_out = "leave it out of the input, or put the film in its place"
    held = "no video: moving pictures were expected, and the file holds only"
    assert refuse(without_frames(add_sound)) == f"{held} sound; {leave_out}"


def add_both(output):
    """Add a cover picture and sound."""
    finishes = [add_cover(output), add_sound(output)]
    return lambda: [finish() for finish in finishes]


@pytest.mark.parametrize(("add", "told"), [(add_cover, "a cover picture"), (add_both, "sound and a cover picture")])
def test_cover_art_alone_is_told_without_a_contradiction(add, told):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        add(output)()
    leave_out = "leave it out of the input, or put the film in its place"
    held = "no video: moving pictures were expected, and the file holds only"
    assert refuse(file.getvalue()) == f"{held} {told}; {leave_out}"


def test_an_unknown_codec_says_so():
    content = make(5).replace(b"avc1", b"zzzz")
    assert refuse(content) == "unknown codec: nothing here decodes this video; convert it to H.264"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a video: starts with b'hello'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "not a video: a picture (PNG); MP4, MOV, AVI, "),
        (b"\xff\xd8\xff\xe0" + bytes(200), "not a video: a picture (JPEG); "),
        (b"\0\0\0\x18ftypheic" + bytes(200), "not a video: a picture (HEIC); "),
        (b"#EXTM3U\n#EXTINF:4,\ngood.mp4\n", "not a video: a playlist, which only names other files; "),
        (b"ffconcat version 1.0\nfile good.mp4\n", "not a video: a playlist, which only names other files; "),
        (b"<!DOCTYPE html><html></html>", "not a video: a web page (HTML), "),
        (b"\0\0\0\x18ftypmp42" + bytes(500), "damaged: the index of this MP4 file is missing or broken"),
        (b"\x1a\x45\xdf\xa3" + bytes(500), "damaged: the header of this Matroska or WebM file is broken or cut off"),
        (b"RIFF\0\0\1\0AVI LIST" + bytes(500), "damaged: the header of this AVI file is broken or cut off"),
        (make(20)[:2000], "damaged: the index of this MP4 file is missing or broken"),
        (make(20)[:-100], "damaged: the index of this MP4 file is missing or broken"),
        (make(20)[:-600], "damaged: the index of this MP4 file is missing or broken"),
        (make(20)[:-900], "damaged: the index of this MP4 file is missing or broken"),
        (
            make(5).replace(b"trak", b"free"),
            "no video: moving pictures were expected, and the file holds no stream at all; ",
        ),
    ],
)
def test_what_can_not_be_opened_says_why(content, reason):
    text = refuse(content)
    assert text.startswith(reason)
    assert "Errno" not in text
    assert "1094995529" not in text


def test_playlists_are_no_videos_whatever_they_are_called(tmp_path):
    target = tmp_path / "secret.mp4"
    target.write_bytes(make(5))
    texts = (
        f"ffconcat version 1.0\nfile '{target}'\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{target}</BaseURL></MPD>',
        f"[playlist]\nFile1={target}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    )
    for text in texts:
        file = io.BytesIO(text.encode())
        file.name = "video.mp4"
        with pytest.raises(CorruptVideo, match="not a video"):
            open_video(file, num_threads=1)


def test_a_movie_that_refers_to_another_file_never_opens_it(tmp_path):
    movie, other = refer_elsewhere(make(10, container="mov"), tmp_path)
    options = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(movie), options=options) as peer:
        assert len(list(peer.decode(video=0))) == 10  # the reference works where it is followed
    other.write_bytes(b"")  # whoever opens it now finds nothing
    frames, outcome = decode(movie.read_bytes())
    assert (frames, outcome[0]) == ([], "empty: the video has no frame")


def refer_elsewhere(content, folder):
    """Return a movie whose samples lie in another file, and that file."""
    other = folder / "other.mov"
    other.write_bytes(content)
    path = str(other).encode()
    path += b"\0" * (len(path) % 2)
    reference = struct.pack(">HH", 2, len(path)) + path + struct.pack(">HH", 0xFFFF, 0)
    entry = b"alis" + bytes(4) + bytes(150) + reference
    entry = struct.pack(">I", len(entry) + 4) + entry
    old_start = content.rindex(b"dref") + 12
    old_size = struct.unpack(">I", content[old_start : old_start + 4])[0]
    changed = bytearray(content[:old_start] + entry + content[old_start + old_size :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = bytes(changed).rindex(box, 0, old_start) - 4
        (size,) = struct.unpack(">I", changed[place : place + 4])
        changed[place : place + 4] = struct.pack(">I", size + len(entry) - old_size)
    movie = folder / "movie.mov"
    movie.write_bytes(changed)
    return movie, other


@pytest.mark.parametrize("promised", [80_000_000, 2**32 - 1])
def test_an_index_that_promises_more_than_a_file_can_hold_is_refused_before_it_takes_memory(promised):
    content = bytearray(make(20))
    for box, offset, values in ((b"stsz", 8, (100, promised)), (b"stts", 12, (promised,)), (b"stsc", 16, (promised,))):
        start = content.rindex(box) + offset
        content[start : start + 4 * len(values)] = struct.pack(f">{len(values)}I", *values)
    assert refuse(bytes(content)).endswith("this MP4 file promises more than the file could hold, or hides it")


def test_an_index_that_goes_on_in_the_next_block_of_a_file_is_seen_as_a_whole():
    class Blocks(io.BytesIO):
        """Gives what is left of a block, as files in buckets do."""

        def read(self, size=-1):
            return super().read(min(size, 5 - self.tell() % 5))

    content = bytearray(make(20))
    start = content.rindex(b"stsz") + 8
    content[start : start + 8] = struct.pack(">II", 100, 80_000_000)
    for before in range(5):
        assert promises_too_much(Blocks(struct.pack(">I4s", 8 + before, b"free") + bytes(before) + content))


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_boxes_of_damaged_files_are_looked_through_to_an_end(place, noise):
    content = bytearray(make(5))
    start = content.rindex(b"moov") - 4 + place % (len(content) - content.rindex(b"moov"))
    content[start : start + len(noise)] = noise
    assert promises_too_much(io.BytesIO(content)) in (True, False)
    assert is_fragmented(io.BytesIO(content)) in (True, False)


def test_boxes_within_boxes_without_end_are_looked_through_to_an_end():
    box = struct.pack(">I4s", 0, b"moov") * 50_000
    assert not promises_too_much(io.BytesIO(box))
    assert is_fragmented(io.BytesIO(make(30, fragmented=True)))
    assert not is_fragmented(io.BytesIO(make(30)))


def test_frames_beyond_the_limit_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(video_file, "MAX_PIXELS", 10_000)
    assert refuse(make(5)) == "too large: 160 x 120 pixels, the limit is 10000"


def test_frames_that_grow_beyond_the_limit_end_up_as_damage(monkeypatch):
    for module in (video_file, decoding):
        monkeypatch.setattr(module, "MAX_PIXELS", 30_000)
    frames, (reason, notes) = decode(make(10, container="h264") + make(10, container="h264", size=(640, 480)))
    assert numbers(frames) == list(range(len(frames)))
    assert 8 <= len(frames) <= 10
    assert reason is None
    assert "1 damaged spot" in notes[0]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_a_damaged_spot_costs_no_frame_outside_its_group(codec):
    content = make(90, codec)
    truth = dict(zip((frame.pts for frame, _ in decode(content)[0]), range(90), strict=True))
    frames, (reason, notes) = decode(zero(content, len(content) * 11 // 18))
    assert reason is None
    assert notes[0].startswith("1 damaged spot, ")
    assert 60 < len(frames) <= 90
    sound = [(truth[frame.pts], number) for (frame, _), number in zip(frames, numbers(frames), strict=True)
             if not frame.is_damaged]  # fmt: skip
    assert len(sound) >= 60
    assert all(place == number for place, number in sound)
    assert [frame.index for frame, _ in frames] == list(range(len(frames)))


def test_damage_reaches_up_to_the_next_key_frame():
    frames, (_, notes) = decode(zero(make(90), len(make(90)) // 2))
    damaged = [frame.index for frame, _ in frames if frame.is_damaged]
    ends = [index for index in damaged if index + 1 not in damaged]
    assert ends
    assert all(frames[index + 1][0].picture.key_frame for index in ends)
    assert notes[0].endswith(f", {len(damaged)} frames may show it")


def test_a_stream_without_key_frames_is_taken_for_sound_again_after_a_while(monkeypatch):
    monkeypatch.setattr(decoding, "_HEALED_AFTER", 20)
    content = make_video(90, options={"g": "1000", "bf": "0"})
    frames, _ = decode(zero(content, len(content) // 4))
    damaged = [frame.index for frame, _ in frames if frame.is_damaged]
    assert 20 <= len(damaged) < 60
    assert not frames[-1][0].is_damaged


@pytest.mark.parametrize("part", [0.1, 0.25, 0.5, 0.6, 0.8])
def test_the_sound_frames_of_a_damaged_video_do_not_depend_on_threads(part):
    content = zero(make(90), int(len(make(90)) * part))
    runs = [decode(content, num_threads=n) for n in (1, 2, 5)]
    told = [([(frame.index, frame.pts, frame.is_damaged) for frame, _ in frames], outcome) for frames, outcome in runs]
    assert told[0] == told[1] == told[2]
    sound = [[rgb.tobytes() for frame, rgb in frames if not frame.is_damaged] for frames, _ in runs]
    assert sound[0] == sound[1] == sound[2]


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (make(60, container="mp4", faststart=True)[:-3000], "it breaks off: its index promises 60 frames"),
        (make(60, container="mp4", fragmented=True)[:-2500], "it breaks off: its index promises "),
        (make(60, container="mp4", fragmented=True)[:-1600], "it breaks off after "),
        (make(60, container="matroska", rate=10)[:-4000], "it breaks off: its last frame is "),
        (make(60, "mpeg4", container="avi")[:-6000], ""),
    ],
    ids=["mp4", "fragmented mp4", "fragment header", "matroska", "avi"],
)
def test_a_broken_tail_leaves_the_frames_before_it_and_is_told(content, note):
    frames, (reason, notes) = decode(content)
    sound = [number for (frame, _), number in zip(frames, numbers(frames), strict=True) if not frame.is_damaged]
    assert reason is None
    assert 15 < len(sound) < 60
    assert sound == list(range(len(sound)))
    assert any(text.startswith(note) for text in notes)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libx264", "mp4"), ("libx264", "matroska"), ("libx264", "mpegts"), ("mpeg4", "avi"), ("libvpx-vp9", "webm")],
)
def test_whatever_is_damaged_there_is_an_end_and_no_other_error(codec, container):
    content, choose = make(20, codec, container=container), random.Random(1)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(choose.choice([1, 5, 20])):
            damaged[choose.choice([choose.randrange(1500), -1 - choose.randrange(1500)])] = choose.randrange(256)
        try:
            frames, (reason, notes) = decode(bytes(damaged))
        except CorruptVideo as error:
            assert str(error)
        else:
            assert bool(frames) == (reason is None)
            assert all(notes)


def test_ffmpeg_writes_nothing_to_stderr(capfd):
    decode(zero(make(90), 3000))
    refuse(make(20)[:3000])
    refuse(b"#EXTM3U\nhttp://localhost/a.ts\n")
    assert capfd.readouterr() == ("", "")


def test_a_stopped_decoding_ends_at_once():
    video = open_video(io.BytesIO(make(90)), num_threads=1)
    frames = []
    for frame in Decoding(video, lambda: len(frames) >= 3).frames():
        frames.append(frame.index)
    assert 3 <= len(frames) < 10
    video.close()


def test_a_closed_video_leaves_the_file_open():
    file = io.BytesIO(make(5))
    open_video(file, num_threads=1).close()
    assert not file.closed


def test_the_rate_and_time_base_are_the_streams():
    video = open_video(io.BytesIO(make(20, container="matroska")), num_threads=1)
    passed = Decoding(video)
    assert (passed.time_base, passed.average_rate) == (Fraction(1, 1000), 30)
    video.close()


def test_painted_numbers_are_read_back():
    assert [read_number(Image.fromarray(paint(number))) for number in range(256)] == list(range(256))


def hide(content, how):
    """Return an MP4 file whose index promises 30 million samples where it is hard to see."""
    start = content.rindex(b"moov") - 4
    before, index = content[:start], content[start:]
    if how == "behind other boxes":
        return before + struct.pack(">I4s", 8, b"free") * 10_001 + index
    if how == "compressed":
        packed = struct.pack(">I", len(index)) + zlib.compress(index)
        return before + box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", packed)))
    return before + box(b"free", bytes(500_000)) + index  # a byte each: the file could hold so many


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize("how", ["behind other boxes", "compressed", "a byte each"])
def test_an_index_can_not_hide_what_it_promises(how):
    content = bytearray(make(20))
    start = content.rindex(b"stsz") + 8
    content[start : start + 8] = struct.pack(">II", 1 if how == "a byte each" else 100, 30_000_000)
    assert promises_too_much(io.BytesIO(hide(bytes(content), how)))


def test_hours_of_plain_sound_are_no_hostile_index():
    track = box(b"hdlr", b"mhlr".rjust(8, b"\0") + b"soun") + box(b"stts", struct.pack(">IIII", 0, 1, 40_000_000, 1))
    sizes = box(b"stsz", struct.pack(">III", 0, 1, 40_000_000))
    content = box(b"free", bytes(700_000)) + box(b"moov", box(b"trak", track + sizes))
    assert not promises_too_much(io.BytesIO(content))
