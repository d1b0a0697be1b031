"""BALANCE: what each item adds to each class, and the shares that are aimed at."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.image_names import quote_some
from selection_job.errors import UnusableData
from selection_job.manifest.goal import NamedStrategy
from selection_job.manifest.noun import agree
from selection_job.numeric.greedy.objectives import input_target, uniform_target
from selection_job.selection.sources import Sources
from selection_job.selection.vectors import narrow_rows

MOST_CLASSES = 1000
"""Different labels of metadata that can be balanced."""

OTHER = "(any other)"
"""What a target that adds up to less than 1 leaves to all unnamed classes together."""

_MOST_CELLS = 250_000_000  # 2 GB
_SUM_OF_SHARES = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class ClassShares:
    """What BALANCE looks at."""

    shares: NDArray[np.float64]  # (m, c) 0 or more
    classes: tuple[str, ...]  # (c,)
    target: NDArray[np.float64]  # (c,) adds up to 1


def read_shares(entry: NamedStrategy, sources: Sources, candidates: NDArray[np.int64]) -> ClassShares:
    """Return the classes of the candidates and the aimed share of each.

    candidates  (m,) rows of the items; INPUT aims at the shares among all of them
    Raises UnusableData for metadata that are numbers, for too many different labels, and for a target that names a
    class that is not there.
    """
    shares, classes = _read(entry, sources, candidates)
    strategy = entry.strategy
    if strategy.distribution == "TARGET":
        return _aim(entry, shares, classes)
    if not classes:
        raise UnusableData(f"There are no classes in {_describe_input(entry)} that could be balanced.")
    target = uniform_target(len(classes)) if strategy.distribution == "UNIFORM" else input_target(shares)
    return ClassShares(shares, classes, target)


def _read(
    entry: NamedStrategy, sources: Sources, candidates: NDArray[np.int64]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if entry.input.type == "PREDICTIONS":
        shares, classes = sources.class_distributions(entry.input.task or "")
        return narrow_rows(shares, candidates), classes
    return _count_labels(entry, *sources.labels(entry.input.key or "", candidates), len(candidates))


def _count_labels(
    entry: NamedStrategy, labels: list[str], owners: NDArray[np.int64], m: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    classes = tuple(sorted(set(labels)))
    if len(classes) > MOST_CLASSES or len(classes) * m > _MOST_CELLS:
        raise UnusableData(
            f"The metadata {entry.input.key!r} have {len(classes):,} different values for "
            f"{m:,} images; BALANCE takes at most {MOST_CLASSES:,} values and {_MOST_CELLS:,} values times "
            "images. Use a key with fewer."
        )
    places = {label: i for i, label in enumerate(classes)}
    shares = np.zeros((m, len(classes)))
    np.add.at(shares, (owners, np.array([places[label] for label in labels], dtype=np.int64)), 1)
    return shares, classes


def check_target(entry: NamedStrategy, classes: tuple[str, ...]) -> Mapping[str, float]:
    """Return the strategy's target. Raises UnusableData where it names a class that is not there."""
    wanted = entry.strategy.target or {}
    if missing := sorted(set(wanted) - set(classes)):
        wrong = f"{quote_some(missing)} {agree(len(missing), 'are')} not among its classes"
        known = quote_some(list(classes)) if classes else "none"
        raise UnusableData(f"{entry.path}.strategy.target: {wrong}; {_describe_input(entry)} has {known}.")
    return wanted


def _aim(entry: NamedStrategy, shares: NDArray[np.float64], classes: tuple[str, ...]) -> ClassShares:
    """Keep the named classes, and where the target leaves a rest, all others as one."""
    wanted = check_target(entry, classes)
    places = [classes.index(name) for name in wanted]
    ratios = list(wanted.values())
    if sum(ratios) >= _SUM_OF_SHARES:  # unnamed classes do not matter
        named = np.ascontiguousarray(shares[:, places])
        return ClassShares(named, tuple(wanted), np.array(ratios) / max(sum(ratios), 1.0))
    others = shares.sum(axis=1) - shares[:, places].sum(axis=1)
    together = np.column_stack([shares[:, places], np.maximum(others, 0.0)])
    return ClassShares(together, (*wanted, OTHER), np.array([*ratios, 1 - sum(ratios)]))


def keep_reachable(target: NDArray[np.float64], passing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the target as it can be met: NaN for a class that nothing has any of, the others scaled up to 1.

    passing  (q, c) what each item that may be chosen, or was selected before, adds to each class

    The picks are the same by either: where no item has any of a class, its share is 0 in whatever is chosen, and
    BALANCE compares the others by their proportions.
    """
    is_there = passing.any(axis=0)
    total = target[is_there].sum()
    scaled = target / total if total > 0 else np.zeros_like(target)
    return np.where(is_there, scaled, np.nan)


def _describe_input(entry: NamedStrategy) -> str:
    given = entry.input
    return f"the task {given.task}" if given.type == "PREDICTIONS" else f"the metadata {given.key!r}"
