"""Exact frames: some frames of a video once more, told by their digests, without decoding all of it.

FFmpeg finds the key frame before a timestamp and decodes on from there. That may give another picture, or none: in a
stream without timestamps, with an index that lies, or where frames refer beyond their key frame. Then the key frame
before is tried, and in the end the video is decoded from its start, which counts as the first pass did.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from av.error import FFmpegError
from PIL import Image

from selection_job.stores.store import Store
from selection_job.videos.decoding import DecodedFrame, Decoding
from selection_job.videos.frame_pixels import convert_rgb, digest_rgb
from selection_job.videos.video_bytes import VideoBytes, explain_failure
from selection_job.videos.video_file import CorruptVideo, OpenVideo, open_video

_NEAR_FRAMES = 32  # no seek between frames as near as this where the container has no index
_LEAD_SECONDS = 10  # key frames are rarely further apart


@dataclass(frozen=True, slots=True)
class WantedFrame:
    """A frame as it was decoded before."""

    index: int  # place among all frames of the video
    pts: int  # -1 where it has none
    sha256: bytes  # as digest_rgb makes it


Picture = tuple[WantedFrame, Image.Image]


def read_exact(
    store: Store, key: str, size_bytes: int, version: str, wanted: Sequence[WantedFrame], *, num_threads: int = 1
) -> Iterator[tuple[WantedFrame, Image.Image | str]]:
    """Yield each wanted frame once, with its picture (mode RGB, upright) or with the reason why there is none.

    size_bytes, version  as listed
    num_threads          that FFmpeg decodes with; each reads a frame ahead
    They come in the order of time, but for those that only decoding from the start brings: these come last.
    Raises StorageRefused and StorageUnavailable.
    """
    left = dict.fromkeys(sorted(wanted, key=lambda frame: (frame.pts, frame.index)))
    reason = ""
    with closing(VideoBytes(store, key, size_bytes, version)) as file:
        try:
            for frame, picture in _search(file, left, num_threads):
                del left[frame]
                yield frame, picture
        except CorruptVideo as error:
            reason = str(error)
        reason = explain_failure(file) or reason
    for frame in left:
        yield frame, reason or _explain_lost(frame)


def _search(file: VideoBytes, left: Mapping[WantedFrame, None], num_threads: int) -> Iterator[Picture]:
    """Try one way after the other while frames are left; whoever takes them keeps that up to date."""
    for way in (_seek_frames, _seek_earlier, _decode_from_start):
        if not left or file.failure is not None:
            return
        video = open_video(file, num_threads=num_threads, seeks=way is not _decode_from_start)
        try:
            yield from way(video, list(left))
        finally:
            video.close()


def _seek_frames(video: OpenVideo, wanted: Sequence[WantedFrame]) -> Iterator[Picture]:
    for run in _group(video, wanted):
        yield from _decode_run(video, run, run[0].pts)


def _seek_earlier(video: OpenVideo, wanted: Sequence[WantedFrame]) -> Iterator[Picture]:
    """Begin one key frame before: the first frames of an open group refer to the group before.

    Without an index (MPEG), FFmpeg lands anywhere before the frame, so some seconds before are tried.
    """
    lead = int(_LEAD_SECONDS / video.stream.time_base) if video.stream.time_base else 0
    for run in _group(video, wanted):
        key_time = _find_key_time(video, run[0].pts)
        yield from _decode_run(video, run, run[0].pts - lead if key_time is None else key_time - 1)


def _decode_from_start(video: OpenVideo, wanted: Sequence[WantedFrame]) -> Iterator[Picture]:
    by_index = defaultdict(list)
    for frame in wanted:
        by_index[frame.index].append(frame)
    last = max(by_index)
    for decoded in Decoding(video).frames():
        yield from _match(decoded, by_index.get(decoded.index, ()))
        if decoded.index == last:
            return


def _group(video: OpenVideo, wanted: Sequence[WantedFrame]) -> Iterator[list[WantedFrame]]:
    """Yield the frames in runs that are decoded in one go; those without a timestamp are left out."""
    run: list[WantedFrame] = []
    run_key: int | None = None
    for frame in wanted:
        if frame.pts == -1:
            continue
        key = _find_key_time(video, frame.pts)
        is_near = bool(run) and (
            frame.index - run[-1].index <= _NEAR_FRAMES if key is None or run_key is None else key == run_key
        )
        if run and not is_near:
            yield run
            run = []
        run.append(frame)
        run_key = key
    if run:
        yield run


def _find_key_time(video: OpenVideo, pts: int) -> int | None:
    """Return when the key frame at or before pts is decoded, in units of the stream; None without an index."""
    entries = video.stream.index_entries
    place = entries.search_timestamp(pts)
    return None if place < 0 else entries[place].timestamp


def _decode_run(video: OpenVideo, run: Sequence[WantedFrame], start: int) -> Iterator[Picture]:
    by_pts = defaultdict(list)
    for frame in run:
        by_pts[frame.pts].append(frame)
    try:
        video.container.seek(start, stream=video.stream)
    except (FFmpegError, OverflowError):  # no way to seek in this container, or to before the first of all times
        return
    for decoded in Decoding(video).frames():
        if decoded.pts is None:
            continue
        yield from _match(decoded, by_pts.get(decoded.pts, ()))
        if decoded.pts >= run[-1].pts:
            return


def _match(decoded: DecodedFrame, wanted: Iterable[WantedFrame]) -> Iterator[Picture]:
    """Yield those of the wanted frames that are this picture."""
    candidates = list(wanted)
    if not candidates:
        return
    try:
        rgb = convert_rgb(decoded.picture)
    except FFmpegError:
        return
    digest = digest_rgb(rgb)
    for frame in candidates:
        if frame.sha256 == digest:
            yield frame, Image.fromarray(rgb)


def _explain_lost(frame: WantedFrame) -> str:
    return (
        f"frame {frame.index} does not decode to the picture that was selected: the video was replaced, or it is "
        "damaged there"
    )
