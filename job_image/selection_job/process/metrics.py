"""Metrics: what Prometheus is told of a run, read from its progress at the moment it asks."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from selection_api.names import Stage
from selection_job.process.progress import Progress


def make_registry(
    progress: Progress, *, bytes_read: Callable[[], int], versions: Mapping[str, str]
) -> CollectorRegistry:
    """Return the metrics of a run and of its process, in a registry of their own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_RunCollector(progress, bytes_read, versions))
    ProcessCollector(registry=registry)
    return registry


class _RunCollector(Collector):
    """Reads anew each time it is asked: nothing is counted twice, and nothing is counted for nobody."""

    def __init__(self, progress: Progress, bytes_read: Callable[[], int], versions: Mapping[str, str]) -> None:
        self._progress = progress
        self._bytes_read = bytes_read
        self._versions = {name.replace("-", "_"): version for name, version in versions.items()}

    def collect(self) -> Iterator[Metric]:
        yield self._build_info()
        yield from self._position()
        yield from self._counters()
        yield self._images()

    def _build_info(self) -> Metric:
        info = GaugeMetricFamily(
            "selection_job_build_info", "Versions of what computes; always 1.", labels=sorted(self._versions)
        )
        info.add_metric([self._versions[name] for name in sorted(self._versions)], 1)
        return info

    def _position(self) -> Iterator[Metric]:
        position = self._progress.position
        stages = GaugeMetricFamily("selection_job_stage", "1 for the stage that the run is in.", labels=["stage"])
        for stage in Stage:
            stages.add_metric([stage], stage == position.stage)
        yield stages
        done = GaugeMetricFamily(
            "selection_job_stage_units_done", "What is done of the stage (images, batches or files).", labels=["stage"]
        )
        done.add_metric([position.stage], position.done)
        yield done
        total = GaugeMetricFamily(
            "selection_job_stage_units", "What there is to do in the stage; 0 where it can't be told.", labels=["stage"]
        )
        total.add_metric([position.stage], position.total)
        yield total

    def _counters(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "selection_job_read_bytes", "Bytes read from the input datasource.", value=self._bytes_read()
        )
        units = CounterMetricFamily(
            "selection_job_units", "What this process has done by stage; its rate is the throughput.", labels=["stage"]
        )
        for stage, n in self._progress.units_done.copy().items():
            units.add_metric([stage], n)
        yield units
        seconds = CounterMetricFamily(
            "selection_job_stage_seconds", "Time spent by stage, the present one included.", labels=["stage"]
        )
        for stage, spent in self._progress.position.seconds_at(self._progress.clock()).items():
            seconds.add_metric([stage], spent)
        yield seconds

    def _images(self) -> Metric:
        images = GaugeMetricFamily(
            "selection_job_images", "What became of the input images, as far as it is known.", labels=["kind"]
        )
        counts = self._progress.counts
        for kind, n in (counts.model_dump(exclude_unset=True) if counts else {}).items():
            images.add_metric([kind], n)
        return images
