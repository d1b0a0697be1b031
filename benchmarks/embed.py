"""Embedding speed beside lightly-embed: python benchmarks/embed.py [n images]

The same photographs and the same checkpoint (resnet-18, 32 dimensions, input 64) go in turns through
`lightly-embed` and through read_images + embed_pixels, each in a process of its own. "phase" is reading, decoding,
resizing and embedding, as lightly's own progress bar times it; "process" adds starting Python and loading the
checkpoint, and writing embeddings.csv in the peer's case. "raw forward" embeds pixels that lie ready in memory.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightly.utils.io import load_embeddings
from PIL import Image

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import build_model
from selection_job.encoder.checkpoints import write_checkpoint
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.loading import load_encoder
from selection_job.encoder.precision import has_bfloat16
from selection_job.process.machine import count_cores
from selection_job.reading.images import ReadImage, ReadOptions, read_images
from selection_job.stores.local.store import LocalStore

ROUNDS = 2
SIZE_PX = (320, 240)
CPU = torch.device("cpu")


def main() -> None:
    """Run the rounds and print the table."""
    if sys.argv[1:2] == ["--ours"]:
        _embed_in_this_process(Path(sys.argv[2]), int(sys.argv[3]))
        return
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 384
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        make_photos(base / "photos", n)
        config = LightlyConfig()
        weights = build_model(config.model, seed=1).state_dict()
        write_checkpoint(base / "encoder.ckpt", weights, settings={"input_size": config.collate.input_size})
        precisions = [32, 16] if has_bfloat16() else [32]
        peers: list[Any] = []
        ours: dict[int, list[Any]] = {precision: [] for precision in precisions}
        for turn in range(ROUNDS):
            peers.append(run_peer(base, turn))
            for precision in precisions:
                ours[precision].append(run_ours(base, precision))
        print_table(base, n, peers, ours)


def make_photos(folder: Path, n: int, size_px: tuple[int, int] = SIZE_PX) -> None:
    """Write n JPEG crops of scikit-image's bundled photographs, at random places and scales, into a new folder."""
    from skimage import data

    folder.mkdir()
    random = np.random.default_rng(0)
    photos = [Image.fromarray(photo()) for photo in (data.astronaut, data.coffee, data.chelsea, data.rocket)]
    for i in range(n):
        photo = photos[i % len(photos)]
        width = int(random.integers(160, photo.width * 3 // 4))
        height = min(width * 3 // 4, photo.height)
        left, top = (int(random.integers(0, room + 1)) for room in (photo.width - width, photo.height - height))
        crop = photo.crop((left, top, left + width, top + height)).resize(size_px)
        crop.save(folder / f"{i:05}.jpg", quality=90)


def run_peer(base: Path, turn: int) -> dict[str, float]:
    """Run lightly-embed, and return the seconds of its phase and of its process."""
    cwd = base / f"peer{turn}"
    cwd.mkdir()
    command = [
        str(Path(sys.executable).with_name("lightly-embed")), f"input_dir={base / 'photos'}",
        f"checkpoint={base / 'encoder.ckpt'}", "hydra.run.dir=.",
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    bars = re.findall(r"(\d+)/\1 \[[^\]]*?, +([\d.]+)(imgs/s|s/imgs)", done.stderr)
    n, rate, unit = bars[-1]
    return {"phase": int(n) / float(rate) if unit == "imgs/s" else int(n) * float(rate), "process": seconds}


def run_ours(base: Path, precision: int) -> dict[str, float]:
    """Embed in a process of its own, and return its seconds: phase, process, raw forward."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--ours", str(base), str(precision)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    measured = json.loads(done.stdout)
    return {"phase": measured["phase"], "raw": measured["raw"], "process": seconds - measured["extra"]}


def _embed_in_this_process(base: Path, precision: int) -> None:
    torch.set_num_threads(count_cores())
    encoder = load_encoder(LightlyConfig(), checkpoint=base / "encoder.ckpt")
    names = sorted(path.name for path in (base / "photos").iterdir())
    options = ReadOptions(preprocessing=encoder.preprocessing, num_threads=count_cores(), thumbnails=False)
    kept: list[np.ndarray] = []
    started = time.perf_counter()
    batches = _batches(read_images(LocalStore(base / "photos"), names, options=options), kept)
    embeddings = np.concatenate(list(embed_pixels(encoder, batches, device=CPU, precision=precision)))
    phase = time.perf_counter() - started
    np.save(base / f"ours{precision}.npy", embeddings)
    extra = time.perf_counter()
    raw = _time_raw_forward(encoder, kept, precision)
    print(json.dumps({"phase": phase, "raw": raw, "extra": time.perf_counter() - extra}))


def _batches(images: Iterable[ReadImage], kept: list[np.ndarray]) -> Iterator[np.ndarray]:
    batch: list[np.ndarray] = []
    for image in images:
        if image.encoder_pixels is None:
            raise SystemExit(f"{image.name}: {image.reason}")
        batch.append(image.encoder_pixels)
        if len(batch) == 16:
            kept.append(np.stack(batch))
            yield kept[-1]
            batch = []
    if batch:
        kept.append(np.stack(batch))
        yield kept[-1]


def _time_raw_forward(encoder: Encoder, batches: list[np.ndarray], precision: int) -> float:
    started = time.perf_counter()
    for _ in embed_pixels(encoder, batches, device=CPU, precision=precision):
        pass
    return time.perf_counter() - started


def print_table(base: Path, n: int, peers: list[dict[str, float]], ours: dict[int, list[dict[str, float]]]) -> None:
    """Print images a second, means of the rounds, with the ratios that matter."""

    def rate(rounds: list[dict[str, float]], key: str) -> float:
        return n / float(np.mean([seconds[key] for seconds in rounds]))

    theirs, _, names = load_embeddings(str(base / "peer0" / "embeddings.csv"))
    theirs = np.asarray(theirs)[np.argsort(names)]
    print(f"{n} JPEGs of {SIZE_PX[0]}x{SIZE_PX[1]}, resnet-18 d32 input 64, batch 16, {count_cores()} cores,")
    print(f"torch {torch.__version__}; images/s, means of {ROUNDS} rounds in turns")
    print(f"{'':<22}{'phase':>8}{'process':>9}{'x peer':>8}{'raw':>8}{'overhead':>10}{'min cosine':>12}")
    print(f"{'lightly-embed':<22}{rate(peers, 'phase'):>8.1f}{rate(peers, 'process'):>9.1f}")
    for precision, rounds in ours.items():
        embeddings = np.load(base / f"ours{precision}.npy")
        norms = np.linalg.norm(embeddings, axis=1) * np.linalg.norm(theirs, axis=1)
        cosine = float(((embeddings * theirs).sum(axis=1) / norms).min())
        phase, raw = rate(rounds, "phase"), rate(rounds, "raw")
        ratio = phase / rate(peers, "phase")
        label = f"ours {'float32' if precision == 32 else 'bfloat16'}"
        print(
            f"{label:<22}{phase:>8.1f}{rate(rounds, 'process'):>9.1f}{ratio:>8.2f}{raw:>8.1f}{raw / phase - 1:>10.1%}"
            f"{cosine:>12.6f}"
        )


if __name__ == "__main__":
    main()
