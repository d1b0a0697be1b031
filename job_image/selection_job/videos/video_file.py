"""OpenVideo: one video file, opened so that FFmpeg reads nothing but its bytes.

Files are hostile. Only containers of recorded videos are tried (a playlist would name other files), FFmpeg may open
no file and no address by itself, and frames beyond MAX_PIXELS are refused before their memory is taken.
"""

from dataclasses import dataclass
from io import BytesIO, RawIOBase
from typing import Any

import av
import av.logging
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from selection_job.images.decoding import MAX_PIXELS, guess_format
from selection_job.images.file_kinds import name_image_kind, name_other_kind
from selection_job.videos.mp4_boxes import is_fragmented, is_index_cut_off, promises_too_much

CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,av1,ivf,obu,asf,flv,ogg"
"""FFmpeg's names of the containers that are tried, whatever the file's name says. Of codecs there is no list: those are
taken that the package av can decode (constraints.txt); endings are catalog.image_names.VIDEO_EXTENSIONS."""

_BUFFER_BYTES = 64 * 1024
_MAX_THREADS = 16
_DECODER_BYTES = 1024**3  # what the frames that FFmpeg's threads hold may take
_FRAMES_PER_THREAD = 2
_NO_PROTOCOL = "none"
_NO_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_MP4 = "MP4"
_NO_INDEX = (
    "damaged: the index of this MP4 file is missing or broken; a recording that was cut off has none: "
    "repair it with the camera maker's tool, or leave it out of the input"
)
_WAY_OUT = "leave it out of the input, or put the film in its place"
_STREAMS = {"audio": "sound", "video": "a cover picture", "subtitle": "subtitles", "attachment": "attachments"}
_BEGINNING_BYTES, _QUOTED_BYTES = 200, 12
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]")
_BEGINNINGS = {  # offset and bytes that a file of this kind has there
    _MP4: ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (4, b"skip")),
    "Matroska or WebM": ((0, b"\x1a\x45\xdf\xa3"),),
    "AVI": ((8, b"AVI "),),
    "MPEG": ((0, b"\x00\x00\x01"),),
}

av.logging.set_level(None)  # FFmpeg writes nothing to stderr: what matters becomes a reason or a note


class CorruptVideo(Exception):
    """The file can't be used as a video; str() is the reason: 'empty', 'not a video: …', 'damaged: …', …"""


@dataclass
class OpenVideo:
    """A container and the stream that is decoded. close() frees what both hold at once."""

    container: InputContainer
    stream: VideoStream

    def close(self) -> None:
        """Free decoder and container; the file object stays open."""
        self.container.close()
        del self.stream


def open_video(file: BytesIO | RawIOBase, *, num_threads: int, seeks: bool = False) -> OpenVideo:
    """Read the header and choose the stream, a matter of some hundred kilobytes.

    file         seekable; what it raises is raised
    num_threads  that FFmpeg decodes with at most; fewer for very large frames, each thread holds some
    seeks        whether the video is to be sought in: then all fragments of an MP4 file are looked at now
    Raises CorruptVideo.
    """
    container = _open_container(file, seeks=seeks)
    try:
        stream = _choose_stream(container)
        _set_up(container, stream, num_threads)
    except BaseException:
        container.close()
        raise
    return OpenVideo(container, stream)


def explain(error: Exception) -> str:
    """Return FFmpeg's sentence without its number."""
    return str(getattr(error, "strerror", None) or error)


def _open_container(file: BytesIO | RawIOBase, *, seeks: bool) -> InputContainer:
    beginning = _read_beginning(file)
    try:
        return _open_mp4(file, seeks=seeks) if _guess_kind(beginning) == _MP4 else _try_container(file)
    except CorruptVideo:
        raise
    except Exception as error:  # a hostile file may bring about anything, and one file never ends a run
        raise CorruptVideo(_explain_unopened(beginning, error)) from error


def _open_mp4(file: BytesIO | RawIOBase, *, seeks: bool) -> InputContainer:
    if promises_too_much(file):
        raise CorruptVideo("damaged: the index of this MP4 file promises more than the file could hold, or hides it")
    is_cut_off = is_index_cut_off(file)
    if not seeks and is_fragmented(file):  # FFmpeg would go through all fragments, and then once more
        return _try_container(file, fflags="+ignidx")
    try:
        container = _try_container(file)
    except Exception:  # a recording in fragments that was cut off: without an index of all, the whole ones can be read
        return _try_container(file, fflags="+ignidx")
    if is_cut_off and not any(len(stream.index_entries) for stream in container.streams.video):
        container.close()
        raise CorruptVideo(_NO_INDEX)
    return container


def _try_container(file: BytesIO | RawIOBase, **more: str) -> InputContainer:
    file.seek(0)
    return av.open(
        file,
        "r",
        options={"max_pixels": str(MAX_PIXELS)},
        container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": _NO_PROTOCOL, **more},
        metadata_errors="replace",
        buffer_size=_BUFFER_BYTES,
    )


def _read_beginning(file: BytesIO | RawIOBase) -> bytes:
    file.seek(0)
    return file.read(_BEGINNING_BYTES) or b""


def _explain_unopened(beginning: bytes, error: Exception) -> str:
    if not beginning:
        return "empty"
    kind = _guess_kind(beginning)
    if kind == _MP4 and not name_image_kind(beginning):
        return _NO_INDEX
    if kind and kind != _MP4:
        return f"damaged: the header of this {kind} file is broken or cut off ({explain(error)})"
    told = _name_kind(beginning) or f"starts with {beginning[:_QUOTED_BYTES]!r}"
    return f"not a video: {told}; MP4, MOV, AVI, MPEG, Matroska or WebM was expected: {_WAY_OUT}"


def _name_kind(beginning: bytes) -> str:
    """Return in words what a file is that is no video, '' where its beginning doesn't tell."""
    if beginning.startswith(_PLAYLISTS):
        return "a playlist, which only names other files"
    image_format = guess_format(beginning) or name_image_kind(beginning)
    return f"a picture ({image_format})" if image_format else name_other_kind(beginning)


def _guess_kind(beginning: bytes) -> str:
    return next((kind for kind, places in _BEGINNINGS.items() if any(_has(beginning, *place) for place in places)), "")


def _has(beginning: bytes, offset: int, mark: bytes) -> bool:
    return beginning[offset : offset + len(mark)] == mark


def _choose_stream(container: InputContainer) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not streams:
        raise CorruptVideo(f"no video: moving pictures were expected, and {_tell_streams(container)}; {_WAY_OUT}")
    best: Any = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise CorruptVideo("unknown codec: nothing here decodes this video; convert it to H.264")
    return stream


def _tell_streams(container: InputContainer) -> str:
    """Say what a file holds that holds no video; a cover picture is a stream of videos to FFmpeg."""
    kinds = {_STREAMS.get(stream.type, "data") for stream in container.streams}
    told = sorted(kinds, key=[*_STREAMS.values(), "data"].index)
    if not told:
        return "the file holds no stream at all"
    return f"the file holds only {' and '.join([', '.join(told[:-1])] * (len(told) > 1) + told[-1:])}"


def _set_up(container: InputContainer, stream: VideoStream, num_threads: int) -> None:
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    context = stream.codec_context
    n_pixels = context.width * context.height
    if n_pixels > MAX_PIXELS:
        raise CorruptVideo(f"too large: {context.width} x {context.height} pixels, the limit is {MAX_PIXELS}")
    affordable = _DECODER_BYTES // max(1, 3 * n_pixels * _FRAMES_PER_THREAD)
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_type = "AUTO"
    context.thread_count = max(1, min(num_threads, _MAX_THREADS, affordable))
