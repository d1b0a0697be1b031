"""Context: what a run works with besides the data itself: manifest, stores, stages, scratch folder, clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import torch

from selection_api import SelectionRun
from selection_api.spec import SelectionRunSpec
from selection_api.worker_config import WorkerConfig
from selection_job.images.thumbnails import Thumbnails
from selection_job.manifest.data_needs import DataNeeds, find_needs
from selection_job.manifest.goal import Goal, make_goal
from selection_job.manifest.medium import Medium, medium_of
from selection_job.manifest.reading import identify_run
from selection_job.process.energy import EnergyMeter, make_meter
from selection_job.process.machine import choose_device
from selection_job.process.progress import Progress
from selection_job.run.kept_stages import KeptStages
from selection_job.stores.counting import CountingStore
from selection_job.stores.lease import Lease
from selection_job.stores.opening import open_store
from selection_job.stores.store import Store

_THUMBNAIL_CACHE_BYTES = 512 * 1024**2  # about 100,000 thumbnails of 5 kB


def run_folder(run: SelectionRun) -> str:
    """Return the key of the run's folder in the lightly datasource, with a trailing '/'."""
    return f".lightly/runs/{identify_run(run)}/"


@dataclass(frozen=True)
class RunContext:
    """What every step of the pipeline is given. `source` is the input datasource, `target` the lightly one."""

    run: SelectionRun
    medium: Medium
    goal: Goal
    needs: DataNeeds
    source: CountingStore
    target: Store
    scratch: Path
    progress: Progress
    thumbnails: Thumbnails
    stages: KeptStages
    lease: Lease
    device: torch.device
    now: Callable[[], datetime]
    started_at: datetime
    """When this process began, by the progress's clock."""
    energy: EnergyMeter = field(default_factory=EnergyMeter)

    @property
    def run_id(self) -> str:
        """The name of the run's folder."""
        return identify_run(self.run)

    @property
    def run_key(self) -> str:
        """Where the results lie in the lightly datasource, with a trailing '/'."""
        return run_folder(self.run)

    @property
    def url(self) -> str:
        """Where the results lie, as users know it."""
        return self.target.url + self.run_key

    @property
    def spec(self) -> SelectionRunSpec:
        """The run's spec."""
        return self.run.spec

    @property
    def worker(self) -> WorkerConfig:
        """The run's workerConfig."""
        return self.run.spec.worker_config


def set_up(
    run: SelectionRun, scratch: Path, progress: Progress, *, now: Callable[[], datetime] | None = None
) -> RunContext:
    """Open the run's stores and lay out its scratch folder.

    Raises StorageRefused where a datasource can't be opened.
    """
    clock = now or (lambda: datetime.now(UTC))
    device = choose_device(run.spec.lightly_config.trainer.gpus, expected=run.spec.expects_gpu)
    datasources, goal = run.spec.datasources, make_goal(run.spec)
    target = open_store(datasources.lightly, field="spec.datasources.lightly", writable=True)
    return RunContext(
        run=run,
        medium=medium_of(run.spec.dataset.type),
        goal=goal,
        needs=find_needs(run.spec, goal),
        source=CountingStore(open_store(datasources.input, field="spec.datasources.input")),
        target=target,
        scratch=scratch,
        progress=progress,
        thumbnails=Thumbnails(scratch / "thumbnails", _THUMBNAIL_CACHE_BYTES),
        stages=KeptStages(target, run_folder(run), scratch / "stages"),
        lease=Lease(target, f".lightly/locks/{identify_run(run)}.json"),
        device=device,
        now=clock,
        started_at=clock() - timedelta(seconds=progress.elapsed()),
        energy=make_meter(device),
    )
