"""Counting how often a run's pods were taken away without the run getting further."""

from collections.abc import Iterable

from selection_api.names import Stage
from selection_api.status import Disruptions
from selection_operator.runs.failures import stage_of, summary_of
from selection_operator.views.pods import PodView

MOST_DISRUPTIONS = 10
ORDER = list(Stage)


def count_disruptions(before: Disruptions | None, pods: Iterable[PodView], reached: Stage | None) -> Disruptions | None:
    """Return the count after the pods seen now; `reached` is the stage the status knew last.

    A pod is counted once: pods of a Job follow one another (podReplacementPolicy Failed), so those created after the
    last counted one are new. The count starts again when a pod is disrupted in a later stage than any before. A pod
    that vanished between two looks is not counted.
    """
    counted = before
    for pod in sorted((pod for pod in pods if pod.disrupted), key=lambda pod: (pod.created, pod.name)):
        if _is_new(pod, counted):
            counted = _add(counted, pod, stage_of(pod) if summary_of(pod) else reached or Stage.INITIALIZING)
    return counted


def _is_new(pod: PodView, counted: Disruptions | None) -> bool:
    if counted is None or counted.last_pod_created is None:
        return True
    return pod.created >= counted.last_pod_created and pod.uid != counted.last_pod


def _add(counted: Disruptions | None, pod: PodView, stage: Stage) -> Disruptions:
    furthest = counted.stage if counted and counted.stage else Stage.INITIALIZING
    further = ORDER.index(stage) > ORDER.index(furthest)
    count = 1 if counted is None or further else counted.count + 1
    return Disruptions(
        count=count, stage=max(stage, furthest, key=ORDER.index), last_pod=pod.uid, last_pod_created=pod.created
    )
