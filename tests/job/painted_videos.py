"""Small videos whose frames carry their number, painted so large that it survives every codec."""

import functools
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from selection_job.catalog.catalog import Listing
from selection_job.stores.local.store import LocalStore

os.environ["SVT_LOG"] = "1"  # SVT-AV1 writes its settings to stderr otherwise

WIDTH, HEIGHT = 160, 120
_COLUMNS, _ROWS = 4, 2  # eight squares: a bit each, most significant first
_QUIET = {"libx265": {"x265-params": "log-level=none:keyint=15:bframes=3"}, "libsvtav1": {"svtav1-params": "keyint=15"}}
FAST = {
    "libx264": {"preset": "ultrafast", "bf": "2", "g": "12"},
    "libx265": {"preset": "ultrafast", **_QUIET["libx265"]},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "g": "12"},
    "libsvtav1": {"preset": "8", **_QUIET["libsvtav1"]},
    "mpeg4": {"g": "12", "bf": "2"},
    "mjpeg": {},
}
CONTAINERS = {"libx264": "mp4", "libx265": "mp4", "libvpx-vp9": "webm", "libsvtav1": "mp4", "mpeg4": "avi"}


def paint(number, width=WIDTH, height=HEIGHT):
    """Return (height, width, 3) uint8: the last eight bits of the number as black and white squares."""
    bits = [(number >> shift) & 1 for shift in range(_COLUMNS * _ROWS - 1, -1, -1)]
    squares = np.array(bits, dtype=np.uint8).reshape(_ROWS, _COLUMNS) * 255
    rows, columns = np.arange(height) * _ROWS // height, np.arange(width) * _COLUMNS // width
    return np.repeat(squares[rows][:, columns, None], 3, axis=2)


def read_number(image):
    """Return the number painted into an image, whatever its size."""
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    height, width = grey.shape
    number = 0
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            square = grey[
                (4 * row + 1) * height // (4 * _ROWS) : (4 * row + 3) * height // (4 * _ROWS),
                (4 * column + 1) * width // (4 * _COLUMNS) : (4 * column + 3) * width // (4 * _COLUMNS),
            ]
            number = number * 2 + int(square.mean() > 127)
    return number


def _in_a_thread_of_its_own(function):
    """Make a function run in a thread that ends with it.

    libsvtav1 gives the thread that calls it the priority of real time (SCHED_FIFO 99) where root runs it, and programs
    that the thread starts later have it too: servers written in Go then stand still.
    """

    @functools.wraps(function)
    def run(*arguments, **options):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *arguments, **options).result()

    return run


@_in_a_thread_of_its_own
def make_video(
    n_frames=40,
    codec="libx264",
    *,
    container=None,
    size=(WIDTH, HEIGHT),
    rate=30,
    pixel_format=None,
    options=None,
    pts=None,
    time_base=None,
    set_up=None,
    numbers=None,
    frames=None,
    before=None,
    faststart=False,
    fragmented=False,
    noise=False,
):
    """Return the bytes of a video.

    pts      timestamps of the frames in units of time_base
    numbers  what is painted into the frames; 0, 1, … without it
    frames   these instead of painted ones
    noise    takes the place of a frame's lowest bits: a large file in little time
    set_up   is called with the stream before the first frame
    before   is called with the container before the stream is added; what it returns is called at the end
    """
    muxing = {"movflags": "faststart"} if faststart else {"movflags": "frag_keyframe"} if fragmented else {}
    path = Path(tempfile.mkdtemp()) / "video"  # no file object: FFmpeg opens it again to put an index in front
    output = av.open(str(path), "w", format=container or CONTAINERS.get(codec, "mp4"), options=muxing)
    finish = before(output) if before else None
    stream = output.add_stream(codec, rate=rate, options={**FAST.get(codec, {}), **(options or {})})
    stream.width, stream.height = size
    stream.pix_fmt = pixel_format or ("yuvj420p" if codec == "mjpeg" else "yuv420p")
    if time_base is not None:
        stream.codec_context.time_base = stream.time_base = Fraction(time_base)
    if set_up:
        set_up(stream)
    for place, number in enumerate(range(n_frames) if numbers is None else numbers):
        painted = paint(number, *size)
        if noise:
            painted ^= np.random.default_rng(number).integers(0, 64, painted.shape, dtype=np.uint8)
        frame = frames[place] if frames else av.VideoFrame.from_ndarray(painted, format="rgb24")
        if pts is not None:
            frame.pts, frame.time_base = pts[place], Fraction(time_base)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())
    if finish:
        finish()
    output.close()
    content = path.read_bytes()
    shutil.rmtree(path.parent)
    return content


def store_videos(folder, videos):
    """Write videos (name: bytes) into the folder, and return their store and listing, in the order given."""
    for name, content in videos.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    store = LocalStore(folder)
    infos = {info.key: info for info in store.list()}
    listing = Listing(
        list(videos),
        np.array([infos[name].size_bytes for name in videos], dtype=np.int64),
        [infos[name].version for name in videos],
    )
    return store, listing
