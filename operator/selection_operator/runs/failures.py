"""How pods and Jobs end, in one reason and one sentence that says what to do."""

from collections.abc import Iterable, Sequence

from selection_api import ExitCode, RunSummary, Stage
from selection_api.names import NEVER_RETRIED, REASON_OF_EXIT, Reason
from selection_api.status import Failure
from selection_operator.views.jobs import JobView
from selection_operator.views.pods import PodView

LONGEST_MESSAGE = 8192
OUT_OF_MEMORY = "OOMKilled"
MOST_OUT_OF_MEMORY = 2
"""In one stage: a third attempt would end the same way."""

OOM_ADVICE = (
    "Raise spec.resources.limits.memory, or lower lightlyConfig.loader.batch_size and num_workers; GPU memory is not "
    "meant here."
)


def summary_of(pod: PodView) -> RunSummary | None:
    """Return the RunSummary in a pod's termination message; None when there is none that can be read."""
    if pod.end is None or not pod.end.message:
        return None
    try:
        return RunSummary.from_bytes(pod.end.message.encode())
    except ValueError:
        return None


def stage_of(pod: PodView) -> Stage:
    """Return the stage in which a pod ended: the job notes each stage as its last word so far."""
    word = summary_of(pod)
    return word.stage if word else Stage.INITIALIZING


def failure_of_pod(pod: PodView) -> Failure:
    """Return why a pod failed. The kubelet's exit code counts, not what the pod says of itself."""
    if pod.end is None:
        return Failure(reason=Reason.UNEXPECTED, message=_cut(pod.evicted or "The pod ended without a word."))
    code, word = pod.end.exit_code, summary_of(pod)
    if pod.end.reason == OUT_OF_MEMORY:
        message = f"The container ran out of memory in stage {stage_of(pod)}. {OOM_ADVICE}"
        return Failure(reason=Reason.OUT_OF_MEMORY, message=message, exit_code=code)
    reason = REASON_OF_EXIT.get(_known(code), Reason.UNEXPECTED) if code else Reason.UNEXPECTED
    said = word.message if word and word.message else f"The container ended with exit code {code} and no last word."
    return Failure(reason=reason, message=_cut(said), exit_code=code if 0 <= code <= 255 else None)


def failure_of_job(job: JobView, pods: Sequence[PodView]) -> Failure:
    """Return why a failed Job failed: the deadline, or the end of the attempt that was its last."""
    if job.end is not None and job.end.reason == "DeadlineExceeded":
        message = f"The run took longer than activeDeadlineSeconds ({job.deadline_seconds}). Finished stages are kept."
        return Failure(reason=Reason.DEADLINE_EXCEEDED, message=message)
    failed = failed_pods(pods)
    never_retried = [pod for pod in failed if pod.end is not None and pod.end.exit_code in NEVER_RETRIED]
    deciding = never_retried or failed
    words = job.end.message if job.end is not None else ""
    if not deciding:
        return Failure(reason=Reason.JOB_FAILED, message=_cut(f"The Job failed and left no pod that says why. {words}"))
    failure = failure_of_pod(deciding[-1])
    if never_retried or len(failed) < 2:
        return failure
    return failure.model_copy(update={"message": _cut(f"Attempt {len(failed)} was the last. {failure.message}")})


def failed_pods(pods: Iterable[PodView]) -> list[PodView]:
    """Return the pods whose end counts as a failed attempt, oldest first; neither disrupted nor deleted."""
    over = [pod for pod in pods if pod.is_over and pod.phase != "Succeeded" and not _done(pod)]
    failed = [pod for pod in over if not pod.disrupted and not pod.deleting]
    return sorted(failed, key=lambda pod: (pod.created, pod.name))


def out_of_memory_twice(pods: Iterable[PodView]) -> Failure | None:
    """Return the failure when two attempts ran out of memory in one stage; None otherwise."""
    killed = [pod for pod in failed_pods(pods) if pod.end is not None and pod.end.reason == OUT_OF_MEMORY]
    stages = [stage_of(pod) for pod in killed]
    for pod, stage in zip(killed, stages, strict=True):
        if stages.count(stage) >= MOST_OUT_OF_MEMORY:
            failure = failure_of_pod(pod)
            message = f"Twice the container ran out of memory in stage {stage}. {OOM_ADVICE}"
            return failure.model_copy(update={"message": message})
    return None


def _done(pod: PodView) -> bool:
    return pod.end is not None and pod.end.exit_code == ExitCode.DONE


def _known(code: int) -> ExitCode:
    return ExitCode(code) if code in set(ExitCode) else ExitCode.UNEXPECTED


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} […]"
