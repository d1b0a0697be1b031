"""The operator's metrics, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from selection_api.names import ConditionType, Phase
from selection_operator.views.runs import RunView

REGISTRY = CollectorRegistry()
RECONCILE_SECONDS = Histogram(
    "selection_operator_reconcile_seconds", "How long a pass over a run takes.", registry=REGISTRY
)
RECONCILE_ERRORS = Counter(
    "selection_operator_reconcile_errors", "Passes that failed and are repeated, by kind.", ["kind"], registry=REGISTRY
)
API_WRITES = Counter(
    "selection_operator_api_writes", "Writes sent to the API server.", ["verb", "resource"], registry=REGISTRY
)
QUEUE_DEPTH = Gauge("selection_operator_queue_depth", "Runs that are due for a pass.", registry=REGISTRY)

LABELS = ("phase", "reason")
RUNS = "selection_operator_runs", "Runs by phase and reason."
FAILED_AT = (
    "selection_operator_newest_failure_timestamp_seconds",
    "When the newest of the runs that are there failed or was found invalid.",
)
WAITS_SINCE = (
    "selection_operator_oldest_wait_timestamp_seconds",
    "Since when the run that waits longest has been accepted, admitted or resumed without running.",
)


class RunsCollector(Collector):
    """Tells of the runs that are there at the moment of the scrape; it needs no memory, and survives a restart."""

    def __init__(self, runs: Callable[[], Iterable[RunView]]) -> None:
        self._runs = runs

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return how many runs there are, when the newest failed, and since when the oldest waits."""
        runs = list(self._runs())
        yield _make_family(RUNS, Tally(map(_phase_and_reason, runs)))
        yield _make_family(FAILED_AT, _gather(max, ((_phase_and_reason(run), _failed_at(run)) for run in runs)))
        yield _make_family(WAITS_SINCE, _gather(min, ((_phase_and_reason(run), _waits_since(run)) for run in runs)))


def _make_family(metric: tuple[str, str], samples: Mapping[tuple[str, str], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*metric, labels=LABELS)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family


def _gather(
    choose: Callable[[float, float], float], moments: Iterable[tuple[tuple[str, str], float | None]]
) -> dict[tuple[str, str], float]:
    """Return one moment for each phase and reason that has any."""
    found: dict[tuple[str, str], float] = {}
    for labels, moment in moments:
        if moment is not None:
            found[labels] = choose(found.get(labels, moment), moment)
    return found


def _failed_at(run: RunView) -> float | None:
    """Return when a run ended badly: Stalled became True then, whatever it was before."""
    return max(_transitions(run, {ConditionType.STALLED}, {"True"}), default=None)


def _waits_since(run: RunView) -> float | None:
    """Return when a run that waits was accepted, or admitted to or taken out of a queue, whichever was last."""
    if run.status.get("phase") not in (Phase.PENDING, Phase.QUEUED):
        return None
    kinds = {ConditionType.ACCEPTED, ConditionType.SUSPENDED}
    return max(_transitions(run, kinds, {"True", "False"}), default=None)


def _transitions(run: RunView, kinds: set[ConditionType], statuses: set[str]) -> Iterator[float]:
    for condition in _conditions(run):
        if condition["type"] in kinds and condition["status"] in statuses:
            with suppress(ValueError):  # another's hand may have written what no clock shows, such as second 60
                yield datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()


def _phase_and_reason(run: RunView) -> tuple[str, str]:
    reason = next((each["reason"] for each in _conditions(run) if each["type"] == ConditionType.READY), "")
    return str(run.status.get("phase", "")), str(reason)


def _conditions(run: RunView) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run.status.get("conditions", [])
    return found
