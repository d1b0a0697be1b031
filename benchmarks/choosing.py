"""Which strategy, and how much does the encoder matter? python benchmarks/choosing.py [pictures a class]

Two sets with labels. "photographs": crops of twelve photographs that scikit-image, scikit-learn and matplotlib ship, a
class each. "drawings": ten shapes, drawn at any place, size, turn and colour over noise. Half of what can be chosen
are single pictures, the rest walks of near-copies, as the frames of a video are; the class of rank r keeps r^-0.75 of
its pictures, in an order drawn for each seed. 1%, 3% and 10% are chosen, by chance or by strategies from the vectors of
an encoder: a resnet-9 as it is built (32 pixels), or the built-in one. Whoever chose, the same judge learns from the
labels: a logistic regression on 64 principal components of the built-in encoder's vectors, tested on pictures of their
own. Ten seeds; margins are points of the mean accuracy over the classes above chance (the mean of five random choices
of the same size), with their interval of 95% over the seeds.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import numpy as np
import skimage
import sklearn
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import build_model
from selection_job.encoder.built_in import load_built_in
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder, make_encoder
from selection_job.numeric.greedy.objectives import Diversity, Weights
from selection_job.numeric.strategies import select
from selection_job.selection.measures import measure_typicality
from selection_job.selection.vectors import normalize_rows

SEEDS = range(10)
SHARES = (0.01, 0.03, 0.1)
PER_CLASS, TEST_SHARE, WALK = 210, 1 / 7, 12
N_CHANCES = 5
TYPICALITY_NEIGHBOURS = 20
SIDE_PX = 160
T_95 = 2.262  # Student's, nine degrees of freedom

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Chooser = Callable[[Vectors, int], Rows]
Draw = Callable[[int, np.random.Generator], Iterator[Image.Image]]

_SKIMAGE = ("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
            "hubble_deep_field.jpg", "motorcycle_left.png")  # fmt: skip
PHOTOGRAPHS = (
    *(Path(skimage.__file__).parent / "data" / name for name in _SKIMAGE),
    *(Path(sklearn.__file__).parent / "datasets" / "images" / name for name in ("china.jpg", "flower.jpg")),
    Path(matplotlib.__file__).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg",
)
SHAPES = ("disc", "ring", "square", "frame", "triangle", "star", "cross", "bars", "grid", "dots")


@dataclass(frozen=True)
class Pictures:
    """All pictures of a set: what can be chosen, and what tests."""

    classes: Rows  # (n,)
    is_test: NDArray[np.bool_]  # (n,)
    vectors: dict[str, Vectors]  # (n, d) of unit length, by encoder
    features: NDArray[np.float64]  # (n, 64) the judge's


def main() -> None:
    """Print a table for each set."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few labels are the point
    per_class = int(sys.argv[1]) if len(sys.argv) > 1 else PER_CLASS
    sets: dict[str, tuple[int, Draw]] = {
        "photographs": (len(PHOTOGRAPHS), crop_photograph),
        "drawings": (len(SHAPES), draw_shape),
    }
    for name, (n_classes, draw) in sets.items():
        print_table(name, make_pictures(n_classes, draw, per_class))


def make_pictures(n_classes: int, draw: Draw, per_class: int) -> Pictures:
    """Draw and embed all pictures of a set."""
    classes = np.repeat(np.arange(n_classes), per_class)
    is_test = np.tile(np.arange(per_class) < per_class * TEST_SHARE, n_classes)
    vectors = {name: embed(encoder, draw, n_classes, per_class) for name, encoder in load_encoders().items()}
    judge = vectors["built in"]
    return Pictures(classes, is_test, vectors, PCA(64, random_state=0).fit_transform(judge))


def load_encoders() -> dict[str, Encoder]:
    """Return a poor encoder and a good one."""
    model = build_model(LightlyConfig.model_validate({"model": {"name": "resnet-9"}}).model)
    return {"untrained": make_encoder(model, input_size_px=32, source="untrained"), "built in": load_built_in()}


def embed(encoder: Encoder, draw: Draw, n_classes: int, per_class: int) -> Vectors:
    """Return the unit vectors of all pictures, which are drawn anew: the same for each encoder."""
    images = (image for c in range(n_classes) for image in draw_class(draw, c, per_class))
    batches = (np.stack(list(batch)) for batch in chunk(map(encoder.preprocessing.make_pixels, images), 16))
    return normalize_rows(np.concatenate(list(embed_pixels(encoder, batches, device=torch.device("cpu")))))


def chunk(pixels: Iterator[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    """Yield lists of `size`."""
    batch: list[NDArray[np.uint8]] = []
    for one in pixels:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def draw_class(draw: Draw, label: int, per_class: int) -> Iterator[Image.Image]:
    """Yield single pictures first, half of what can be chosen, and then walks."""
    n_single = round(per_class * (TEST_SHARE + (1 - TEST_SHARE) / 2))
    n = 0
    for number in range(per_class):
        frames = draw(label, np.random.default_rng([label, number]))
        for _ in range(1 if number < n_single else WALK):
            if n == per_class:
                return
            n += 1
            yield next(frames)


def crop_photograph(label: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Yield views of a photograph by a camera that moves a little from one to the next."""
    with Image.open(PHOTOGRAPHS[label]) as opened:
        photo = opened.convert("RGB")
    share, place = rng.uniform(0.25, 0.6), rng.uniform(0, 0.85, 2)
    step = rng.uniform(-0.012, 0.012, 2)
    gain, lift = rng.uniform(0.6, 1.3), rng.uniform(-30, 30)
    while True:
        width, height = round(photo.width * share), round(photo.height * share)
        left, top = (
            round(room * at) for room, at in zip((photo.width - width, photo.height - height), place, strict=True)
        )
        view = photo.crop((left, top, left + width, top + height)).resize((SIDE_PX, SIDE_PX))
        yield view.point(partial(_adjust, gain=gain, lift=lift))
        place = np.clip(place + step, 0, 1)


def _adjust(level: int, *, gain: float, lift: float) -> int:
    return int(np.clip(level * gain + lift, 0, 255))


def draw_shape(label: int, rng: np.random.Generator) -> Iterator[Image.Image]:
    """Yield a shape that moves and turns a little from one picture to the next."""
    ground, ink = rng.integers(0, 256, (2, 3))
    noise = rng.normal(0, 25, (SIDE_PX // 8, SIDE_PX // 8, 3))
    radius, place, angle = rng.uniform(18, 45), rng.uniform(50, SIDE_PX - 50, 2), rng.uniform(0, 360)
    step, turn = rng.uniform(-2, 2, 2), rng.uniform(-3, 3)
    while True:
        back = Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8)).resize((SIDE_PX, SIDE_PX))
        shape = Image.new("L", (200, 200))
        _paint(ImageDraw.Draw(shape), SHAPES[label])
        small = shape.rotate(angle).resize((round(2 * radius), round(2 * radius)))
        back.paste(tuple(ink.tolist()), tuple((place - radius).astype(int).tolist()), small)
        yield back
        place, angle = np.clip(place + step, 40, SIDE_PX - 40), angle + turn


def _paint(draw: ImageDraw.ImageDraw, shape: str) -> None:
    """Paint white on black, 200 x 200, within a radius of 90 around the middle."""
    if shape == "disc":
        draw.ellipse((10, 10, 190, 190), fill=255)
    elif shape == "ring":
        draw.ellipse((10, 10, 190, 190), outline=255, width=25)
    elif shape in ("square", "frame"):
        draw.rectangle((35, 35, 165, 165), outline=255, width=25, fill=255 if shape == "square" else 0)
    elif shape == "triangle":
        draw.regular_polygon((100, 100, 90), 3, fill=255)
    elif shape in ("star", "cross"):
        for angle in np.radians(np.arange(0, 180, 36 if shape == "star" else 90)):
            x, y = 88 * np.cos(angle), 88 * np.sin(angle)
            draw.line((100 - x, 100 - y, 100 + x, 100 + y), fill=255, width=14 if shape == "star" else 35)
    else:
        _paint_pattern(draw, shape)


def _paint_pattern(draw: ImageDraw.ImageDraw, shape: str) -> None:
    for at in range(40, 161, 30):
        if shape != "dots":
            draw.line((at, 35, at, 165), fill=255, width=12)
        if shape == "grid":
            draw.line((35, at, 165, at), fill=255, width=12)
        for other in range(40, 161, 30) if shape == "dots" else ():
            draw.ellipse((at - 9, other - 9, at + 9, other + 9), fill=255)


def take_pool(pictures: Pictures, seed: int) -> Rows:
    """Return the rows that can be chosen: of each class what its rank allows, single pictures and walks alike."""
    rng = np.random.default_rng(seed)
    n_classes = int(pictures.classes.max()) + 1
    shares = (1 + rng.permutation(n_classes)) ** -0.75
    kept = []
    for label, share in enumerate(shares):
        rows = np.flatnonzero((pictures.classes == label) & ~pictures.is_test)
        singles, walked = np.array_split(rows, 2)
        walks = [walked[start : start + WALK] for start in range(0, len(walked), WALK)]
        kept.append(rng.choice(singles, max(1, round(share * len(singles))), replace=False))
        kept += [walks[i] for i in rng.permutation(len(walks))[: round(share * len(walks))]]
    return np.sort(np.concatenate(kept))


def choose_diverse(vectors: Vectors, k: int) -> Rows:
    """DIVERSITY alone, the default of a run."""
    return select(len(vectors), [Diversity(vectors)], k).indices


def choose_typical(vectors: Vectors, k: int) -> Rows:
    """TYPICALITY alone."""
    return select(len(vectors), [Weights(measure_typicality(vectors, TYPICALITY_NEIGHBOURS))], k).indices


def choose_both(vectors: Vectors, k: int) -> Rows:
    """DIVERSITY and TYPICALITY together."""
    typical = measure_typicality(vectors, TYPICALITY_NEIGHBOURS)
    return select(len(vectors), [Diversity(vectors), Weights(typical)], k).indices


CHOOSERS: dict[str, Chooser] = {
    "DIVERSITY": choose_diverse,
    "TYPICALITY": choose_typical,
    "DIVERSITY x TYPICALITY": choose_both,
}


def score(pictures: Pictures, rows: Rows) -> float:
    """Return the judge's mean accuracy over the classes in points, from the labels of these rows."""
    tests = np.flatnonzero(pictures.is_test)
    labels = pictures.classes[rows]
    if len(np.unique(labels)) == 1:
        return 100 / (int(pictures.classes.max()) + 1)
    judge = LogisticRegression(C=10, max_iter=500).fit(pictures.features[rows], labels)
    return 100 * float(balanced_accuracy_score(pictures.classes[tests], judge.predict(pictures.features[tests])))


def measure_seed(pictures: Pictures, share: float, seed: int) -> dict[tuple[str, str], float]:
    """Return the mean accuracy of chance under ("", ""), and the margin of each encoder and strategy to it."""
    pool = take_pool(pictures, seed)
    k = max(2, round(share * len(pool)))
    rng = np.random.default_rng(seed + 1000)
    chance = float(np.mean([score(pictures, rng.choice(pool, k, replace=False)) for _ in range(N_CHANCES)]))
    margins = {
        (encoder, name): score(pictures, pool[choose(vectors[pool], k)]) - chance
        for encoder, vectors in pictures.vectors.items()
        for name, choose in CHOOSERS.items()
    }
    return {("", ""): chance, **margins}


def print_table(name: str, pictures: Pictures) -> None:
    """Print the accuracy of chance, and the mean margin of each choice with its interval and its wins."""
    sizes = [len(take_pool(pictures, seed)) for seed in SEEDS]
    print(f"{name}: {min(sizes)} to {max(sizes)} pictures to choose from, {len(SEEDS)} seeds")
    print("| encoder | choice | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |")
    print("|---|---|" + "---|" * len(SHARES))
    by_share = [[measure_seed(pictures, share, seed) for seed in SEEDS] for share in SHARES]
    for encoder, choice in by_share[0][0]:
        cells = []
        for measured in by_share:
            values = np.array([seed[encoder, choice] for seed in measured])
            interval = T_95 * values.std(ddof=1) / len(values) ** 0.5
            wins = f", {np.count_nonzero(values > 0)} of {len(values)}"
            cells.append(f"{values.mean():{'+' if choice else ''}.1f} ± {interval:.1f}{wins if choice else ''}")
        print(f"| {encoder or '–'} | {choice or 'chance, accuracy'} | {' | '.join(cells)} |", flush=True)
    print()


if __name__ == "__main__":
    main()
