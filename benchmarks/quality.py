"""Is what is selected worth labelling more than a random choice? python benchmarks/quality.py

scikit-learn's handwritten digits (1,797 of 8x8 pixels, public), split in halves by a seed. The half to choose from
comes in two forms. "raw": as collected data often is, with classes of very unequal size (each digit keeps two thirds
of the one before, in an order drawn for each seed) and nine near-copies of every third image (shifted by up to half a
pixel, with noise), as the frames of a video are. "curated": as scikit-learn ships it, balanced and without copies.
10% are labelled, chosen at random or by strategies of selectionConfig from the pixels alone, and a logistic regression
learns from them. The other half, untouched, is for testing. Ten seeds; figures are mean accuracies over the classes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from selection_job.numeric.greedy.objectives import Diversity, Weights
from selection_job.numeric.strategies import select
from selection_job.selection.measures import measure_typicality
from selection_job.selection.vectors import normalize_rows

SEEDS = range(10)
SHARE = 0.1
N_COPIES = 9
TYPICALITY_NEIGHBOURS = 20

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]
Digits = tuple[NDArray[np.float64], Rows]  # (n, 64) pixels 0..16, (n,) classes
Chooser = Callable[[Vectors, int, int], Rows]


def main() -> None:
    """Print a table for each form of the data."""
    for form, make in {"raw": make_raw, "curated": lambda digits, _: digits}.items():
        scores = {name: np.array([score(make, chooser, seed) for seed in SEEDS]) for name, chooser in CHOOSERS.items()}
        print_table(form, scores)


def score(make: Callable[[Digits, int], Digits], choose: Chooser, seed: int) -> float:
    """Return the mean accuracy over the classes, 0..1, of a classifier that learnt from the chosen tenth."""
    pixels, classes = load_digits(return_X_y=True)
    pool_x, test_x, pool_y, test_y = train_test_split(
        pixels, classes, test_size=0.5, random_state=seed, stratify=classes
    )
    pool_x, pool_y = make((pool_x, pool_y), seed)
    vectors = normalize_rows(pool_x.astype(np.float32))
    chosen = choose(vectors, round(SHARE * len(vectors)), seed)
    classifier = LogisticRegression(max_iter=5000).fit(pool_x[chosen], pool_y[chosen])
    return float(balanced_accuracy_score(test_y, classifier.predict(test_x)))


def make_raw(digits: Digits, seed: int) -> Digits:
    """Return the digits with unequal classes and near-copies."""
    rng = np.random.default_rng(seed)
    pixels, classes = digits
    shares = (2 / 3) ** rng.permutation(10)
    kept = rng.random(len(classes)) < shares[classes]
    pixels, classes = pixels[kept], classes[kept]
    copied = np.repeat(np.arange(0, len(classes), 3), N_COPIES)
    copies = np.stack([_disturb(pixels[row], rng) for row in copied])
    return np.concatenate([pixels, copies]), np.concatenate([classes, classes[copied]])


def _disturb(image: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    moved = image.reshape(8, 8)
    for axis, fraction in enumerate(rng.uniform(-0.5, 0.5, 2)):
        moved = (1 - abs(fraction)) * moved + abs(fraction) * np.roll(moved, int(np.sign(fraction)), axis)
    return np.asarray(np.clip(moved + rng.normal(0, 0.5, (8, 8)), 0, 16).ravel())


def choose_randomly(vectors: Vectors, k: int, seed: int) -> Rows:
    """Return k rows by chance."""
    return np.random.default_rng(seed + 1000).choice(len(vectors), k, replace=False)


def choose_diverse(vectors: Vectors, k: int, seed: int) -> Rows:
    """DIVERSITY alone, the default of a run; it has no randomness."""
    return select(len(vectors), [Diversity(vectors)], k).indices


def choose_diverse_and_typical(vectors: Vectors, k: int, seed: int) -> Rows:
    """DIVERSITY and TYPICALITY, which keeps it from taking mostly outliers."""
    typical = measure_typicality(vectors, TYPICALITY_NEIGHBOURS)
    return select(len(vectors), [Diversity(vectors), Weights(typical)], k).indices


CHOOSERS: dict[str, Chooser] = {
    "random": choose_randomly,
    "DIVERSITY": choose_diverse,
    "DIVERSITY x TYPICALITY": choose_diverse_and_typical,
}


def print_table(form: str, scores: dict[str, NDArray[np.float64]]) -> None:
    """Print the mean over seeds, and wins and margins against the random choice of the same seed."""
    print(f"digits, {form}: {SHARE:.0%} labelled, {len(SEEDS)} seeds")
    print("| choice | accuracy | wins | mean margin | smallest | largest |")
    print("|---|---|---|---|---|---|")
    for name, values in scores.items():
        margins = 100 * (values - scores["random"])
        wins = f"{np.count_nonzero(margins > 0)} of {len(margins)}"
        row = f"{wins} | {margins.mean():+.1f} | {margins.min():+.1f} | {margins.max():+.1f}"
        print(f"| {name} | {100 * values.mean():.1f}% | {row if name != 'random' else ' | | | '} |")
    print()


if __name__ == "__main__":
    main()
