"""The resources of the API server that the operator reads, and the key of what its objects belong to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from selection_api.names import GROUP, LABEL_MANAGED_BY, OPERATOR_NAME, PLURAL, VERSION
from selection_operator.views.jobs import JobView, WorkloadView, view_job, view_workload
from selection_operator.views.pods import EventView, PodView, view_event, view_pod
from selection_operator.views.raw import Raw
from selection_operator.views.runs import RunView, view_run

V = TypeVar("V")

OURS = f"{LABEL_MANAGED_BY}={OPERATOR_NAME}"


@dataclass(frozen=True)
class Resource(Generic[V]):
    """One resource, and how its objects are viewed."""

    group: str
    version: str
    """'' for the version that is preferred where it is installed."""
    plural: str
    view: Callable[[Raw], V]
    selector: str = ""
    """The labels of those objects that are ours to see; '' for all."""


RUNS: Resource[RunView] = Resource(GROUP, VERSION, PLURAL, view_run)
JOBS: Resource[JobView] = Resource("batch", "v1", "jobs", view_job, OURS)
PODS: Resource[PodView] = Resource("", "v1", "pods", view_pod, OURS)
EVENTS: Resource[EventView] = Resource("", "v1", "events", view_event)
WORKLOADS: Resource[WorkloadView] = Resource("kueue.x-k8s.io", "", "workloads", view_workload)
