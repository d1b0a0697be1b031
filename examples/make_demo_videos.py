"""Make the demo's videos: three drives over photographs, and one file that is damaged.

python examples/make_demo_videos.py [--input FOLDER] [--output FOLDER]

A window moves over a photograph of scikit-image, with stops and a cut to another one, so that most frames are
near-duplicates of their neighbours. The same versions of PyAV make the same bytes.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from make_demo_dataset import DEFAULT_FOLDER, PHOTOGRAPHS, load_photograph, write_new
from PIL import Image

FRAMES_PER_SCENE = 75
RATE = 25
SIZE = (320, 240)
DRIVES = {
    "front/monday.mp4": ("libx264", ("coffee", "cat", "coffee")),
    "front/tuesday.mov": ("libx264", ("astronaut", "motorcycle")),
    "rear/monday.webm": ("libvpx-vp9", ("retina", "rocket")),
}
_STOP = (30, 45)  # frames in which the window stands still


def make_videos() -> dict[str, bytes]:
    """Return name and content of each video."""
    videos = {name: _encode(codec, subjects, name) for name, (codec, subjects) in DRIVES.items()}
    return {**videos, "front/damaged.mp4": videos["front/monday.mp4"][:200]}


def _encode(codec: str, subjects: tuple[str, ...], name: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=name.rpartition(".")[2], options={"fflags": "+bitexact"}) as output:
        stream = cast(VideoStream, output.add_stream(codec, rate=RATE, options={"threads": "1", "flags": "+bitexact"}))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, subject in enumerate(subjects):
            for view in _drive(subject, number):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(view), format="rgb24")))
        output.mux(stream.encode())
    return file.getvalue()


def _drive(subject: str, seed: int) -> Iterator[Image.Image]:
    """Yield views of a window that moves over the photograph, stands for a while, and moves on."""
    source = load_photograph(PHOTOGRAPHS[subject]).convert("RGB")
    start, end = np.random.default_rng(seed).uniform(0.0, 0.4, (2, 2)) * source.size
    width, height = 0.6 * source.width, 0.6 * source.height
    for frame in range(FRAMES_PER_SCENE):
        moved = min(frame, _STOP[0]) + max(0, frame - _STOP[1])
        left, top = start + (end - start) * moved / (FRAMES_PER_SCENE - _STOP[1] + _STOP[0])
        box = (round(left), round(top), round(left + width), round(top + height))
        yield source.crop(box).resize(SIZE, Image.Resampling.BILINEAR)


def main(arguments: list[str] | None = None) -> int:
    """Make the videos and say what there is; return the exit code."""
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, folder, what in (("--input", "videos", "the videos"), ("--output", "output", "results")):
        parser.add_argument(
            name, type=Path, default=DEFAULT_FOLDER / folder, help=f"where {what} go (default: %(default)s)"
        )
    options = parser.parse_args(arguments)
    folder, videos = options.input, make_videos()
    options.output.mkdir(parents=True, exist_ok=True)
    written = write_new(folder, videos)
    n_frames = FRAMES_PER_SCENE * sum(len(subjects) for _, subjects in DRIVES.values())
    print(f"{folder}: {len(DRIVES)} videos with {n_frames} frames, and a damaged one. Written now: {written}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
