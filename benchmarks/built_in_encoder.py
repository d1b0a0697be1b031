"""How the built-in encoder was chosen: python benchmarks/built_in_encoder.py

22 photographs that scikit-image, scikit-learn and matplotlib ship. Of each 20 crops (8 to 50% of the area, mirrored,
recoloured, grey, blurred) and 10 of each half. mAP: each crop asks for those of its photograph. Halves: the 5 nearest
crops of the other half are of the same photograph; no pixel is in common. Found: of 30 samples in which photographs are
very unequally frequent, how many of the 22 are among 33 images that farthest-first picks. Radius: of 10% picked, the
farthest image, by EfficientNet-Lite0 at 224 pixels, as a share of that of the first row's picks.
Differences to the first row, with 95% intervals over photographs or samples. Images a second of CPU time, one thread.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import skimage
import sklearn
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import nn

from selection_job.encoder.built_in import Fold, load_built_in
from selection_job.images.preprocessing import Preprocessing
from selection_job.numeric.farthest_first import farthest_first
from selection_job.selection.vectors import normalize_rows

FOLDERS = {
    Path(skimage.__file__).parent / "data": (
        "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png grass.png "
        "gravel.png hubble_deep_field.jpg ihc.png microaneurysms.png moon.png motorcycle_left.png page.png retina.jpg "
        "rocket.jpg text.png"
    ),
    Path(sklearn.__file__).parent / "datasets/images": "china.jpg flower.jpg",
    Path(mpl.__file__).parent / "mpl-data/sample_data": "grace_hopper.jpg",
}
N_CROPS, N_HALVES = 20, 10
N_SAMPLES, N_PICKED, RARER = 30, 33, 0.85
JUDGE_PX = 224

Vectors = NDArray[np.float32]
Figures = tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class Crops:
    """Crops of photographs, the crops of their left and of their right halves, and which photograph each is of."""

    images: list[Image.Image]
    labels: NDArray[np.int64]  # (n,)
    kinds: NDArray[np.int64]  # (n,) 0 whole, 1 left, 2 right


def main() -> None:
    """Print a row for each way to make a vector of a picture."""
    torch.set_num_threads(1)
    crops = make_crops()
    judge, _ = embed(crops, Preprocessing(JUDGE_PX))
    base: Figures | None = None
    print(f"{'':26}{'d':>5}  {'mAP':22}{'halves':22}{'found of 22':20}{'radius':14}img/s")
    for name, vectors, per_second in list_ways(crops):
        figures = measure(normalize_rows(vectors), crops, normalize_rows(judge[:, :1280]))
        base = base or figures
        cells = describe(figures, base)
        speed = f"{per_second:.0f}" if per_second else ""
        print(f"{name:26}{vectors.shape[1]:5}  {cells[0]:22}{cells[1]:22}{cells[2]:20}{cells[3]:14}{speed}", flush=True)


def make_crops() -> Crops:
    """Cut the crops; the same each time."""
    rng = np.random.default_rng(0)
    images, labels, kinds = [], [], []
    paths = [folder / name for folder, names in FOLDERS.items() for name in names.split()]
    for label, path in enumerate(paths):
        photo = Image.open(path).convert("RGB")
        middle = photo.width // 2
        boxes = [(0, 0, *photo.size), (0, 0, middle, photo.height), (middle, 0, *photo.size)]
        for kind, box in enumerate(boxes):
            n = N_HALVES if kind else N_CROPS
            images += [change(cut(photo.crop(box), rng), rng) for _ in range(n)]
            labels += [label] * n
            kinds += [kind] * n
    return Crops(images, np.array(labels), np.array(kinds))


def cut(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a window of 8 to 50% of the area."""
    area, aspect = rng.uniform(0.08, 0.5) * photo.width * photo.height, np.exp(rng.uniform(-0.4, 0.4))
    width = min(photo.width, float(area * aspect) ** 0.5)
    height = min(photo.height, area / width)
    left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height)
    return photo.crop((round(left), round(top), round(left + width), round(top + height)))


def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Mirror, recolour, turn grey or blur, each at times."""
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if rng.random() < 0.8:
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast):
            image = enhancer(image).enhance(float(rng.uniform(0.5, 1.5)))
        image = ImageEnhance.Color(image).enhance(float(rng.uniform(0, 2)))
    if rng.random() < 0.2:
        image = image.convert("L").convert("RGB")
    return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2)))) if rng.random() < 0.3 else image


def embed(crops: Crops, preprocessing: Preprocessing) -> tuple[Vectors, float]:
    """Return (n, 1600), the network's 1280 numbers and the means of its narrow layer's 320, and images a second."""
    network = load_built_in().model
    assert isinstance(network, nn.Sequential)
    network = network.to(memory_format=torch.channels_last)
    rows, seconds = [], 0.0
    for start in range(0, len(crops.images), 16):
        pixels = np.stack([preprocessing.make_pixels(image) for image in crops.images[start : start + 16]])
        started = time.process_time()
        with torch.inference_mode():
            images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
            narrow = network[:3](images)
            wide = network[3:-1](narrow)
        seconds += time.process_time() - started
        rows.append(torch.cat([wide, narrow.mean((2, 3))], dim=1).numpy())
    return np.concatenate(rows), len(crops.images) / seconds


def list_ways(crops: Crops) -> Iterator[tuple[str, Vectors, float]]:
    """Yield each way with its vectors, and images a second where it has a network of its own."""
    own, speed = embed(crops, Preprocessing(128))
    wide, narrow = own[:, :1280], own[:, 1280:]
    yield "128 px, squashed, bilinear", wide, speed
    for size_px in (96, 160, 224):
        rows, speed = embed(crops, Preprocessing(size_px))
        yield f"{size_px} px", rows[:, :1280], speed
    others = {"bicubic": Preprocessing(128, interpolation="bicubic")}
    others |= {"middle crop": Preprocessing(128, "CROP"), "with a border": Preprocessing(128, "PAD")}
    for name, preprocessing in others.items():
        yield name, embed(crops, preprocessing)[0][:, :1280], 0.0
    yield "the narrow layer", narrow, 0.0
    for d in (640, 320, 256, 128):
        yield f"folded to {d}", Fold(1280, d)(torch.from_numpy(wide)).numpy(), 0.0
    for d in (256, 128):
        axes, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(1280, d)))
        yield f"random projection to {d}", (wide @ axes).astype(np.float32), 0.0
    yield "numbers of chance", np.random.default_rng(0).normal(size=(len(wide), 640)).astype(np.float32), 0.0


def measure(unit: Vectors, crops: Crops, judge: Vectors) -> Figures:
    """Return mAP and halves of each photograph, and found and radius of each sample."""
    whole, left, right = (unit[crops.kinds == kind] for kind in range(3))
    labels, half_labels = crops.labels[crops.kinds == 0], crops.labels[crops.kinds == 1]
    samples = [draw_sample(crops.labels, seed) for seed in range(N_SAMPLES)]
    found = [len(set(crops.labels[rows][pick(unit[rows], N_PICKED)])) for rows in samples]
    radii = [radius(judge[rows], pick(unit[rows], len(rows) // 10)) for rows in samples]
    halves = (score_halves(left, right, half_labels) + score_halves(right, left, half_labels)) / 2
    return score_retrieval(whole, labels), halves, np.array(found, dtype=np.float64), np.array(radii)


def score_retrieval(unit: Vectors, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean average precision of each photograph's crops."""
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -2)
    is_same = labels[np.argsort(-likeness, axis=1, kind="stable")[:, :-1]] == labels[:, None]
    precision = np.cumsum(is_same, axis=1) / np.arange(1, is_same.shape[1] + 1)
    average = (precision * is_same).sum(axis=1) / is_same.sum(axis=1)
    return np.asarray(average.reshape(-1, N_CROPS).mean(axis=1))


def score_halves(ask: Vectors, answer: Vectors, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return which share of the 5 nearest answers are of the asking photograph, for each photograph."""
    nearest = np.argsort(-(ask @ answer.T), axis=1, kind="stable")[:, :5]
    return np.asarray((labels[nearest] == labels[:, None]).mean(axis=1).reshape(-1, N_HALVES).mean(axis=1))


def draw_sample(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return rows in which each photograph is rarer than the one before, in an order of the seed."""
    rng = np.random.default_rng(seed)
    kept = []
    for rank, label in enumerate(rng.permutation(np.unique(labels))):
        rows = np.flatnonzero(labels == label)
        kept.append(rng.choice(rows, max(2, round(len(rows) * RARER**rank)), replace=False))
    return np.sort(np.concatenate(kept))


def pick(unit: Vectors, k: int) -> NDArray[np.int64]:
    """Return the first k of farthest-first."""
    return np.asarray(farthest_first(np.ascontiguousarray(unit), k)[0])


def radius(judge: Vectors, chosen: NDArray[np.int64]) -> float:
    """Return the distance from the farthest image to its nearest chosen one, as the judge sees them."""
    return float(np.sqrt(np.maximum(0, 2 - 2 * judge @ judge[chosen].T)).min(axis=1).max())


def describe(figures: Figures, base: Figures) -> list[str]:
    """Return mAP, halves, found and radius in words."""
    if figures is base:
        return [f"{values.mean():.3f}" for values in figures]
    rng = np.random.default_rng(0)
    cells = []
    compare: list[Callable[..., NDArray[np.float64]]] = [np.subtract, np.subtract, np.subtract, np.divide]
    for values, others, how in zip(figures, base, compare, strict=True):
        changes = how(values, others)
        means = changes[rng.integers(0, len(changes), (2000, len(changes)))].mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        is_share = how is np.divide
        cells.append(f"{low:.2f} to {high:.2f}" if is_share else f"{changes.mean():+.3f} [{low:+.3f} {high:+.3f}]")
    return cells


if __name__ == "__main__":
    main()
