"""Images a second of encoders beside a bare loop: python benchmarks/encoders.py [images]

The built-in encoder, and a ViT-S/16 and a ConvNeXt-T with random weights at 224 pixels, embed the same JPEGs of 640x480
in two ways, in turns: through the pass of a run, which reads, hashes, checks for damage, makes thumbnails, cuts halves
and embeds, and through a loop that opens each file with Pillow, resizes it and gives batches of 16 to the same network.
Each network has a process of its own. "first" is how long after the start of the stage, loading the encoder included,
the first batch was embedded. A third as many images as are asked for go through the two large networks.
bfloat16 is left out where the processor has none.
"""

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from embed import make_photos
from numpy.typing import NDArray
from PIL import Image

from selection_api.worker_config import WorkerConfig
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.precision import choose_format, has_bfloat16
from selection_job.process.machine import count_cores
from selection_job.reading.half_sample import HalfSample
from selection_job.reading.images import make_read_options, read_images
from selection_job.stores.local.store import LocalStore

ROUNDS = 2
SIZE_PX = (640, 480)
BATCH = 16
CPU = torch.device("cpu")
NETWORKS = {"built in": "", "ViT-S/16": "vit_small_patch16_224", "ConvNeXt-T": "convnext_tiny"}

Pixels = NDArray[np.uint8]


def main() -> None:
    """Run each network in a process, and print the table."""
    if sys.argv[1:2] == ["--network"]:
        print(json.dumps(measure_network(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))))
        return
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 192
    with tempfile.TemporaryDirectory() as name:
        photos = Path(name) / "photos"
        make_photos(photos, n, SIZE_PX)
        print(f"{n} JPEGs of {SIZE_PX[0]}x{SIZE_PX[1]}, {count_cores()} cores, torch {torch.__version__}")
        print(f"best of {ROUNDS} rounds in turns")
        if not has_bfloat16():
            print("bfloat16 is not measured: this processor has none")
        print("| network | format | pass, images/s | loop, images/s | ratio | ratio of CPU seconds | first, s |")
        print("|---|---|---|---|---|---|---|")
        for network in NETWORKS:
            command = [
                sys.executable,
                __file__,
                "--network",
                network,
                str(photos),
                str(n if network == "built in" else n // 3),
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            print_rows(network, json.loads(done.stdout.splitlines()[-1]))


def measure_network(network: str, folder: Path, n: int) -> dict[str, Any]:
    """Return the time to the first batch, and for each precision the best wall and CPU seconds of both ways."""
    torch.set_num_threads(count_cores())
    started = time.perf_counter()
    encoder = load(network)
    names = sorted(path.name for path in folder.iterdir())[:n]
    first: list[float] = []
    ways: dict[str, Callable[[int], Iterator[Any]]] = {
        "pass": lambda precision: embed_pixels(encoder, read(encoder, folder, names), device=CPU, precision=precision),
        "loop": lambda precision: loop(encoder, folder, names, precision),
    }
    measured: dict[str, Any] = {"n": n, "times": {}}
    for precision in [32, 16] if has_bfloat16() else [32]:
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, embed in ways.items():
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in embed(precision):
                    first.append(time.perf_counter() - started)
                taken[way].append((time.perf_counter() - wall, time.process_time() - cpu))
        measured["times"][str(precision)] = {
            way: [min(column) for column in zip(*t, strict=True)] for way, t in taken.items()
        }
    return {**measured, "first": first[0]}


def load(network: str) -> Encoder:
    """Return an encoder: the built-in one, or timm's network with the weights that it is built with."""
    if network == "built in":
        from selection_job.encoder.built_in import load_built_in

        return load_built_in()
    import timm

    from selection_job.encoder.pixel_network import PixelNetwork
    from selection_job.images.preprocessing import Preprocessing

    model = timm.create_model(NETWORKS[network], pretrained=False, num_classes=0).eval().requires_grad_(False)
    make = partial(PixelNetwork, model, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return Encoder(model, make, Preprocessing(224), int(model.num_features), "0" * 64, network)


def read(encoder: Encoder, folder: Path, names: list[str]) -> Iterator[Pixels]:
    """Yield batches of pixels as a run reads them."""
    halves = HalfSample(len(names))
    options = replace(make_read_options(WorkerConfig(), encoder.preprocessing), wants_halves=halves.may_take)
    batch: list[Pixels] = []
    for image in read_images(LocalStore(folder), names, options=options):
        if image.encoder_pixels is None:
            raise SystemExit(f"{image.name}: {image.reason}")
        halves.add(image.sha256, image.halves)
        batch.append(image.encoder_pixels)
        if len(batch) == BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def loop(encoder: Encoder, folder: Path, names: list[str], precision: int) -> Iterator[torch.Tensor]:
    """Yield embeddings as the shortest code that gives them."""
    network = encoder.make_network(choose_format(CPU, precision))
    edge = encoder.preprocessing.size_px
    with torch.inference_mode():
        for start in range(0, len(names), BATCH):
            pixels = []
            for name in names[start : start + BATCH]:
                image = Image.open(io.BytesIO((folder / name).read_bytes())).convert("RGB")
                pixels.append(np.asarray(image.resize((edge, edge), Image.Resampling.BILINEAR)))
            yield network(torch.from_numpy(np.stack(pixels)))


def print_rows(network: str, measured: dict[str, Any]) -> None:
    """Print a row for each number format."""
    for precision, ways in measured["times"].items():
        (wall, cpu), (loop_wall, loop_cpu) = ways["pass"], ways["loop"]
        n, number_format = measured["n"], {"32": "float32", "16": "bfloat16"}[precision]
        first = f"{measured['first']:.1f}" if precision == "32" else ""
        print(
            f"| {network} | {number_format} | {n / wall:.1f} | {n / loop_wall:.1f} | {loop_wall / wall:.2f} "
            f"| {loop_cpu / cpu:.2f} | {first} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
