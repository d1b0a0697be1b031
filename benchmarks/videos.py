"""Reading videos beside PyAV's own loop: python benchmarks/videos.py [frames]

Frames per second from files on the local disk, H.264 1280x720 with B frames, each in a process of its own, in turns:
PyAV's loop to RGB with FFmpeg's threads, and read_frames, which besides hashes each frame, resizes it to 224 pixels and
makes its thumbnail. lightly's VideoDataset is tried where the installed torchvision still reads videos. Then the peak
memory of reading 5 and 200 videos, and the bytes that are read of a file for each of its bytes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
from PIL import Image

from selection_job.catalog.catalog import Listing
from selection_job.images.preprocessing import Preprocessing
from selection_job.images.thumbnails import make_thumbnail
from selection_job.reading.images import ReadOptions
from selection_job.reading.videos import ReadFrame, read_frames
from selection_job.stores.local.store import LocalStore
from selection_job.videos.exact_frames import WantedFrame, read_exact
from selection_job.videos.frame_sampling import FrameSampling

WIDTH, HEIGHT = 1280, 720
ROUNDS = 3
THREADS = len(os.sched_getaffinity(0))
SMALL_FRAMES = 24


def make_video(path: Path, n_frames: int, seed: int = 0) -> None:
    """Write a drive past a textured wall, with boxes that cross it and a little noise, in 10 shots."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"preset": "veryfast", "g": "60", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        noise = rng.integers(0, 12, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for number in range(n_frames):
            if number % max(1, n_frames // 10) == 0:
                coarse = Image.fromarray(rng.integers(0, 250, (40, 160, 3), dtype=np.uint8))
                wall = np.asarray(coarse.resize((3 * WIDTH, HEIGHT), Image.Resampling.BICUBIC))
                wall = np.clip(wall, 0, 249).astype(np.uint8)
            shift = 4 * number % (2 * WIDTH)
            picture = wall[:, shift : shift + WIDTH] + np.roll(noise, number * 7, axis=1)
            left = 9 * number % (WIDTH - 200)
            picture[200:400, left : left + 200] = number % 250
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        output.mux(stream.encode())


def list_videos(folder: Path) -> tuple[LocalStore, Listing]:
    """Return a folder's store and its videos."""
    store = LocalStore(folder)
    infos = sorted(store.list(), key=lambda info: info.key)
    sizes = np.array([info.size_bytes for info in infos], dtype=np.int64)
    return store, Listing([info.key for info in infos], sizes, [info.version for info in infos])


class CountedStore:
    """Counts the bytes that are read of a local store."""

    parallel_reads = 1

    def __init__(self, store: LocalStore) -> None:
        self.store, self.url, self.n_bytes = store, store.url, 0

    def read_range(self, key: str, start: int, end: int, *, version: str) -> bytes:
        """Read and count."""
        part = self.store.read_range(key, start, end, version=version)
        self.n_bytes += len(part)
        return part


def run_plain(folder: Path, every_nth: int) -> int:
    """Decode all and convert every n-th frame to RGB, as PyAV's documentation does it."""
    n = 0
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "AUTO", THREADS
            for index, frame in enumerate(container.decode(stream)):
                if index % every_nth == 0:
                    frame.to_ndarray(format="rgb24")
                n += 1
    return n


def run_plain_work(folder: Path, every_nth: int) -> int:
    """Do the same, and in the same loop what read_frames does with each frame."""
    n = 0
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "AUTO", THREADS
            for index, frame in enumerate(container.decode(stream)):
                if index % every_nth == 0:
                    rgb = frame.to_ndarray(format="rgb24")
                    sha256(rgb.data).digest()
                    picture = Image.fromarray(rgb)
                    Preprocessing(224).make_pixels(picture)
                    make_thumbnail(picture)
                n += 1
    return n


def run_ours(folder: Path, every_nth: int) -> int:
    """Read as a run does."""
    store, listing = list_videos(folder)
    options = ReadOptions(preprocessing=Preprocessing(224), num_threads=THREADS)
    ends = read_frames(store, listing, options=options, sampling=FrameSampling(every_nth=every_nth))
    return sum(0 if isinstance(end, ReadFrame) else end.n_frames for end in ends)


def run_lightly(folder: Path, every_nth: int) -> int:
    """Read with lightly's VideoDataset, which takes a frame at a time by its timestamp."""
    from lightly.data._video import VideoDataset

    dataset = VideoDataset(str(folder), extensions=(".mp4",))
    for index in range(0, len(dataset), every_nth):
        dataset[index]
    return len(dataset)


RUNS = {"plain": run_plain, "plain-work": run_plain_work, "ours": run_ours, "lightly": run_lightly}


def measure(run: str, folder: Path, every_nth: int = 1) -> dict[str, float]:
    """Return frames per second of wall and of CPU time, and the peak memory in MB, of a process of its own."""
    command = [sys.executable, __file__, "--run", run, str(folder), str(every_nth)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def run_here(run: str, folder: Path, every_nth: int) -> None:
    """Be that process."""
    begun = time.perf_counter(), time.process_time()
    n = RUNS[run](folder, every_nth)
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    print(json.dumps({"fps": n / wall, "cpu_fps": n / cpu, "mb": read_peak() / 1000, "frames": n}))


def read_peak() -> int:
    """Return the peak of this process's memory in kB; ru_maxrss would begin with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def compare(folder: Path, every_nth: int) -> None:
    """Print a row for each reader."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for run in ("plain", "plain-work", "ours"):
            result = measure(run, folder, every_nth)
            if result and result["fps"] > best.get(run, {"fps": 0})["fps"]:
                best[run] = result
    if lightly := measure("lightly", folder, every_nth):
        best["lightly"] = lightly
    names = {
        "plain": "PyAV's loop, RGB alone",
        "plain-work": "PyAV's loop, with our work",
        "ours": "read_frames",
        "lightly": "lightly's VideoDataset",
    }
    for run, name in names.items():
        if run not in best:
            print(f"| {name} | {every_nth} | does not run with the installed torchvision | | |")
            continue
        row = best[run]
        ratio = row["fps"] / best["plain"]["fps"]
        print(f"| {name} | {every_nth} | {row['fps']:.0f} | {row['cpu_fps']:.0f} | {ratio:.2f} |")


def measure_bytes(folder: Path) -> None:
    """Print the bytes that are read: of all videos, and for three frames of the longest one."""
    store, listing = list_videos(folder)
    counted = CountedStore(store)
    options = ReadOptions(preprocessing=Preprocessing(224), num_threads=THREADS)
    frames = [
        frame
        for frame in read_frames(counted, listing, options=options, sampling=FrameSampling(every_nth=100))  # type: ignore[arg-type]
        if isinstance(frame, ReadFrame)
    ]
    total = int(listing.sizes_bytes.sum())
    print(f"\nBytes read in one pass: {counted.n_bytes / total:.3f} of {total / 1e6:.1f} MB")
    wanted = [WantedFrame(frame.index, frame.pts, frame.image.sha256) for frame in frames[1:4]]
    counted.n_bytes = 0
    begun = time.perf_counter()
    found = list(read_exact(counted, listing.names[0], int(listing.sizes_bytes[0]), listing.versions[0], wanted))  # type: ignore[arg-type]
    seconds = time.perf_counter() - begun
    assert not any(isinstance(image, str) for _, image in found)
    print(f"{len(wanted)} frames once more: {counted.n_bytes / total:.3f} of the bytes, {1000 * seconds:.0f} ms")


def main() -> None:
    """Make the videos, measure, print the tables."""
    if sys.argv[1:2] == ["--run"]:
        run_here(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        return
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 900
    with tempfile.TemporaryDirectory() as base:
        long, few, many = (Path(base) / name for name in ("long", "few", "many"))
        for folder in (long, few, many):
            folder.mkdir()
        make_video(long / "long.mp4", n_frames)
        make_video(few / "0.mp4", SMALL_FRAMES)
        small = (few / "0.mp4").read_bytes()
        for folder, count in ((few, 5), (many, 200)):
            for row in range(count):
                (folder / f"{row:03d}.mp4").write_bytes(small)
        (few / "0.mp4").unlink()
        size = (long / "long.mp4").stat().st_size
        print(f"{n_frames} frames of {WIDTH}x{HEIGHT}, {size / 1e6:.1f} MB, {THREADS} threads\n")
        print("| reader | every n-th | frames/s | frames per CPU second | ratio |\n|---|---|---|---|---|")
        for every_nth in (1, 30):
            compare(long, every_nth)
        print(f"\nPeak memory, MB ({SMALL_FRAMES} frames each):")
        for folder in (few, many):
            print(f"{len(list(folder.iterdir()))} videos: {measure('ours', folder)['mb']:.0f}")
        measure_bytes(long)


if __name__ == "__main__":
    main()
