"""What the watches have delivered: runs, Jobs and Pods by run, and whether a watch has gone deaf."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from selection_operator.runs.situation import CreateFailure
from selection_operator.views.jobs import JobView
from selection_operator.views.pods import PodView
from selection_operator.views.progress import LiveProgress
from selection_operator.views.runs import RunKey, RunView


class _Versioned(Protocol):
    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...


V = TypeVar("V", bound=_Versioned)


def version_of(view: _Versioned) -> int:
    """Return the resource version as a number: the API server's are, and compare within one resource (KEP-5504)."""
    return int(view.resource_version)


@dataclass
class ObjectIndex(Generic[V]):
    """The objects of one kind, the newest version of each, by uid and by run."""

    run_of: Callable[[V], RunKey]
    objects: dict[str, V] = field(default_factory=dict)
    delivered: dict[str, int] = field(default_factory=dict)
    """The version of each object that the watch has delivered last."""
    gone: set[str] = field(default_factory=set)
    """Uids that a watch has reported deleted since the last listing began."""
    _by_run: dict[RunKey, set[str]] = field(default_factory=dict)

    def put(self, view: V) -> bool:
        """Keep a version unless a newer one is known; say whether it is news."""
        known = self.objects.get(view.uid)
        if view.uid in self.gone or (known is not None and version_of(known) >= version_of(view)):
            return False
        self.objects[view.uid] = view
        self._by_run.setdefault(self.run_of(view), set()).add(view.uid)
        return True

    def watch(self, view: V, *, deleted: bool) -> None:
        """Take what a watch has delivered."""
        self.delivered[view.uid] = version_of(view)
        if deleted:
            self.gone.add(view.uid)
            self.remove(view.uid)
        else:
            self.put(view)

    def remove(self, uid: str) -> None:
        """Forget an object."""
        view = self.objects.pop(uid, None)
        self.delivered.pop(uid, None)
        if view is not None:
            siblings = self._by_run.get(self.run_of(view), set())
            siblings.discard(uid)
            if not siblings:
                self._by_run.pop(self.run_of(view), None)

    def replace(self, listed: Iterable[V], known_before: Mapping[str, V]) -> None:
        """Take a listing: what it lacks is gone, unless it came while the list was on its way."""
        present = {view.uid: view for view in listed}
        for uid in [uid for uid in known_before if uid not in present]:
            self.remove(uid)
        for view in present.values():
            self.put(view)
        self.gone.clear()

    def of(self, run: RunKey) -> list[V]:
        """Return the objects that belong to a run."""
        return [self.objects[uid] for uid in self._by_run.get(run, ())]


@dataclass
class Caches:
    """Everything that a pass reads."""

    runs: ObjectIndex[RunView] = field(default_factory=lambda: ObjectIndex(lambda run: run.key))
    jobs: ObjectIndex[JobView] = field(default_factory=lambda: ObjectIndex(lambda job: job.run))
    pods: ObjectIndex[PodView] = field(default_factory=lambda: ObjectIndex(lambda pod: pod.run))
    live: dict[str, LiveProgress] = field(default_factory=dict)
    """What pods have said of themselves, by pod uid."""
    create_failures: dict[str, CreateFailure] = field(default_factory=dict)
    """Why a run's Job could not be made, by run uid; forgotten once it is."""

    def run(self, key: RunKey) -> RunView | None:
        """Return the run of this name: of two (one just deleted, one just created) the newer."""
        return max(self.runs.of(key), key=version_of, default=None)

    def job_of(self, run: RunView) -> JobView | None:
        """Return the run's own Job: the one that this very run controls, not a former run of its name."""
        return next((job for job in self.jobs.of(run.key) if job.owner_uid == run.uid), None)

    def pods_of(self, job: JobView | None) -> list[PodView]:
        """Return a Job's pods, oldest first."""
        if job is None:
            return []
        pods = [pod for pod in self.pods.of(job.run) if pod.job_uid == job.uid]
        return sorted(pods, key=lambda pod: (pod.created, pod.name))
