"""The operator's metrics, for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

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


class RunsCollector(Collector):
    """Counts runs by phase and reason at the moment of the scrape."""

    def __init__(self, runs: Callable[[], Iterable[RunView]]) -> None:
        self._runs = runs

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return selection_operator_runs."""
        family = GaugeMetricFamily("selection_operator_runs", "Runs by phase and reason.", labels=["phase", "reason"])
        for (phase, reason), count in Tally(map(_phase_and_reason, self._runs())).items():
            family.add_metric([phase, reason], count)
        yield family


def _phase_and_reason(run: RunView) -> tuple[str, str]:
    conditions = run.status.get("conditions", [])
    reason = next((condition["reason"] for condition in conditions if condition["type"] == "Ready"), "")
    return str(run.status.get("phase", "")), str(reason)
