"""What the configuration asks for, whichever of its two forms it was written in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from selection_api.legacy_selection import PRETAGGING_TASK, legacy_strategies
from selection_api.selection_config import SelectionConfig, SelectionInput, SelectionStrategy, Strategy
from selection_api.spec import SelectionRunSpec
from selection_api.stopping_condition import SampleTarget
from selection_api.worker_config import WorkerConfig
from selection_job.errors import UnusableData
from selection_job.manifest.query import make_query

_MOST_CATEGORIES = 3


@dataclass(frozen=True)
class NamedStrategy:
    """One strategy, with where it stands in the manifest and what reports call it."""

    path: str
    name: str  # unique within a run
    input: SelectionInput
    strategy: Strategy
    is_min_count: bool = False
    """A THRESHOLD that stands for one of pretagging_config.min_counts."""

    @contextmanager
    def located(self) -> Iterator[None]:
        """Let an UnusableData that is raised inside begin with where the strategy stands."""
        try:
            yield
        except UnusableData as error:
            if str(error).startswith(self.path):
                raise
            raise UnusableData(f"{self.path}: {error}") from error

    @property
    def strength(self) -> float:
        """How much the strategy counts; 1 where nothing is said."""
        return 1.0 if self.strategy.strength is None else self.strategy.strength


@dataclass(frozen=True)
class Goal:
    """How many images, which of them may be chosen, and what makes one better than another."""

    method: str  # "coreset" | "random" | "strategies": several at once, or one with a turn
    target: SampleTarget | None  # None: as many as the stopping conditions allow
    min_distance: float  # of coreset and random; 0: off
    seed: int  # of random
    thresholds: tuple[NamedStrategy, ...] = ()
    rankings: tuple[NamedStrategy, ...] = ()
    """All strategies but the thresholds; empty for a random choice."""

    @property
    def n_samples(self) -> int | None:
        """How many are to be chosen, of a goal that is resolved; None: as many as the stopping conditions allow."""
        if self.target is None:
            return None
        assert self.target.count is not None, "a share is a number only where it is known of how many"
        return self.target.count

    def resolve(self, n_input: int) -> "Goal":
        """Return the goal with a number to choose; a share counts from n_input images."""
        return replace(self, target=self.target and SampleTarget(count=self.target.resolve(n_input)))

    @property
    def strategies(self) -> tuple[NamedStrategy, ...]:
        """Every strategy, thresholds first, whichever form of selection the configuration has."""
        return (*self.thresholds, *self.rankings)

    @property
    def scores(self) -> tuple[tuple[str, str], ...]:
        """Task and score of each score of the strategies: those that rank first, then those that filter."""
        inputs = (entry.input for entry in (*self.rankings, *self.thresholds))
        given = ((one.task or "", one.score or "") for one in inputs if one.type == "SCORES")
        return tuple(dict.fromkeys(given))


def make_goal(spec: SelectionRunSpec) -> Goal:
    """Return what selectionConfig, or method and stopping_condition, ask for.

    The min_counts of pretagging are thresholds of either form.
    """
    config = spec.selection_config
    if config is None:
        return _translate_legacy(spec.worker_config, spec.lightly_config.seed)
    named = (*name_strategies(config.strategies), *name_min_counts(spec.worker_config))
    thresholds = tuple(entry for entry in named if entry.strategy.type == "THRESHOLD")
    rankings = tuple(entry for entry in named if entry.strategy.type != "THRESHOLD")
    return _make(thresholds, rankings, _read_target(config), spec.lightly_config.seed)


def _make(
    thresholds: tuple[NamedStrategy, ...], rankings: tuple[NamedStrategy, ...], target: SampleTarget | None, seed: int
) -> Goal:
    if not rankings:  # nothing ranks what passes: a fair sample of it
        return Goal("random", target, 0.0, seed, thresholds)
    first = rankings[0]
    if len(rankings) > 1 or not _is_simple(first):
        return Goal("strategies", target, 0.0, seed, thresholds, rankings)
    if first.input.type == "RANDOM":
        own_seed = seed if first.input.random_seed is None else first.input.random_seed
        return Goal("random", target, 0.0, own_seed, thresholds)
    min_distance = first.strategy.stopping_condition_minimum_distance or 0.0
    return Goal("coreset", target, min_distance, seed, thresholds, rankings)


def _is_simple(entry: NamedStrategy) -> bool:
    """Whether the strategy alone is the coreset or the random choice of the older form."""
    strategy = entry.strategy
    is_limited = strategy.stopping_condition_max_sum is not None or strategy.target_range is not None
    is_coreset = strategy.type == "DIVERSITY" and not entry.input.task
    return (is_coreset or entry.input.type == "RANDOM") and not is_limited and entry.strength > 0


def _read_target(config: SelectionConfig) -> SampleTarget | None:
    if config.proportion_samples is not None:
        return SampleTarget(share=config.proportion_samples)
    return None if config.n_samples in (None, -1) else SampleTarget(count=config.n_samples)


def _translate_legacy(worker: WorkerConfig, seed: int) -> Goal:
    target = worker.stopping_condition.n_samples
    min_distance = max(worker.stopping_condition.min_distance, 0.0)
    thresholds = name_min_counts(worker)
    if worker.method == "random":
        return Goal("random", target, min_distance, seed, thresholds)
    rankings = name_strategies(legacy_strategies(worker), path="spec.workerConfig")
    method = "coreset" if len(rankings) == 1 else "strategies"
    return Goal(method, target, min_distance, seed, thresholds, rankings)


def name_min_counts(worker: WorkerConfig) -> tuple[NamedStrategy, ...]:
    """Return a threshold for each category of which pretagging_config wants a least number of objects."""
    if not worker.pretagging:
        return ()
    counts = {name: count for name, count in worker.pretagging_config.min_counts if count > 0}
    return tuple(
        NamedStrategy(
            f"spec.workerConfig.pretagging_config.min_counts.{name}",
            f"at least {count} {name} by pretagging",
            SelectionInput(type="PREDICTIONS", task=PRETAGGING_TASK, name="CATEGORY_COUNT", categories=(name,)),
            Strategy(type="THRESHOLD", threshold=count, operation="BIGGER_EQUAL"),
            is_min_count=True,
        )
        for name, count in counts.items()
    )


def name_strategies(
    entries: Sequence[SelectionStrategy], path: str = "spec.selectionConfig.strategies"
) -> tuple[NamedStrategy, ...]:
    """Name each strategy by its type and input; names that come twice are numbered."""
    named: list[NamedStrategy] = []
    taken: set[str] = set()
    is_list = path.endswith("strategies")
    for i, entry in enumerate(entries):
        plain = describe_strategy(entry)
        name = next(name for number in range(1, len(entries) + 1) if (name := _numbered(plain, number)) not in taken)
        taken.add(name)
        named.append(NamedStrategy(f"{path}[{i}]" if is_list else path, name, entry.input, entry.strategy))
    return tuple(named)


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} #{number}"


def describe_strategy(entry: SelectionStrategy) -> str:
    """Return type and input of a strategy in a few words.

    >>> what = SelectionInput(type="SCORES", task="cars", score="object_frequency")
    >>> describe_strategy(SelectionStrategy(input=what, strategy=Strategy(type="WEIGHTS")))
    'WEIGHTS on SCORES cars object_frequency'
    """
    given, strategy = entry.input, entry.strategy
    words = [strategy.type, "on", given.type]
    words += [word for word in (given.task, given.name, given.score, given.key) if word]
    if given.type == "QUERIES":
        words.append(make_query(given).describe())
    if given.categories:
        words.append(_list_categories(given.categories))
    if given.dataset_id and given.tag_name:
        words.append(f"{given.dataset_id}/{given.tag_name}")
    if strategy.type == "THRESHOLD":
        words.append(f"{strategy.operation} {strategy.threshold:g}")
    return " ".join(map(_make_printable, words))


def _make_printable(word: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in word)


def _list_categories(categories: Sequence[str]) -> str:
    more = len(categories) - _MOST_CATEGORIES
    return ", ".join(categories[:_MOST_CATEGORIES]) + (f" and {more} more" if more > 0 else "")
