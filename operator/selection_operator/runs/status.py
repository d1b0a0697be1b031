"""From a situation to the status: conditions by kstatus rules, and what people read. Pure and idempotent."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from selection_api.names import (
    REPORT_JSON,
    REPORT_PDF,
    RUNS_FOLDER,
    SELECTED_FILENAMES,
    ConditionType,
    Phase,
    Reason,
    Stage,
    run_id,
)
from selection_api.status import Condition, Counts, Disruptions, JobReference, Outputs, Progress, Status
from selection_operator.runs.failures import summary_of
from selection_operator.runs.observation import Observed
from selection_operator.runs.situation import Situation
from selection_operator.views.pods import PodView
from selection_operator.views.progress import make_progress
from selection_operator.views.runs import RunView

TRUE_IN: Mapping[ConditionType, frozenset[Phase]] = {
    ConditionType.ACCEPTED: frozenset(Phase) - {Phase.INVALID},
    ConditionType.SUSPENDED: frozenset({Phase.SUSPENDED, Phase.QUEUED}),
    ConditionType.COMPLETE: frozenset({Phase.COMPLETE}),
    ConditionType.FAILED: frozenset({Phase.FAILED}),
    ConditionType.READY: frozenset({Phase.COMPLETE}),
    ConditionType.RECONCILING: frozenset({Phase.PENDING, Phase.QUEUED, Phase.RUNNING}),
    ConditionType.STALLED: frozenset({Phase.INVALID, Phase.FAILED}),
}
"""In which phases a condition is True. Reconciling and Stalled never meet: kstatus lets the first one win."""


def read_status(run: RunView) -> Status:
    """Return the run's status as far as it can be read; an unreadable one counts as none."""
    try:
        return Status.model_validate(run.status, by_alias=True, by_name=False)
    except ValidationError:
        return Status()


def write_status(status: Status) -> dict[str, Any]:
    """Return the status as the API server takes it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def derive_status(
    run: RunView, situation: Situation, observed: Observed, job: JobReference | None, disruptions: Disruptions | None
) -> Status:
    """Return the status that says the situation; what isn't known anew is carried over."""
    before = read_status(run)
    told = _tell(run, before, situation, observed)
    return Status(
        observed_generation=run.generation,
        phase=situation.phase,
        job=job,
        disruptions=disruptions,
        start_time=before.start_time or _first_start(observed.pods),
        completion_time=_completion_time(before, situation, observed),
        failure=situation.failure,
        conditions=conditions_of(situation, before.conditions, run.generation, observed.now),
        **told,
    )


def conditions_of(
    situation: Situation, before: Sequence[Condition], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return all seven conditions; a transition time changes only when its status does."""
    known = {condition.type: condition for condition in before}
    made = []
    for kind, phases in TRUE_IN.items():
        holds = situation.phase in phases
        reason, message = _words(kind, holds, situation)
        status = "True" if holds else "False"
        old = known.get(kind)
        since = old.last_transition_time if old is not None and old.status == status else write_time(now)
        made.append(
            Condition(
                type=kind,
                status="True" if holds else "False",
                reason=reason,
                message=message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return tuple(made)


def write_time(moment: datetime) -> str:
    """Return a moment as metav1.Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def substance_of(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a status is neither words nor progress: what every operator sees alike."""
    kept = {key: status.get(key) for key in ("observedGeneration", "phase", "startTime", "disruptions")}
    conditions = [(each["type"], each["status"], each["reason"]) for each in status.get("conditions", [])]
    return {**kept, "job": (status.get("job") or {}).get("name"), "conditions": conditions}


def same_but_for_uid(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Say whether two statuses differ in nothing that is worth a write.

    The Job's uid alone waits for the next one, and who writes is the loop's matter.
    """
    return _without_uid(new) == _without_uid(old)


def _without_uid(status: Mapping[str, Any]) -> dict[str, Any]:
    return {**status, "job": (status.get("job") or {}).get("name"), "operator": None}


def _words(kind: ConditionType, holds: bool, situation: Situation) -> tuple[str, str]:
    """Return a condition's reason and message: the present ones where it says something, no message elsewhere."""
    if kind == ConditionType.ACCEPTED:
        return (Reason.VALID, "The manifest is valid.") if holds else (situation.reason, situation.message)
    if kind == ConditionType.SUSPENDED and not holds:
        if situation.suspend_hindrance:
            return Reason.SUSPEND_NOT_POSSIBLE, situation.suspend_hindrance
        return Reason.NOT_SUSPENDED, ""
    return situation.reason, situation.message if holds or kind == ConditionType.READY else ""


def _tell(run: RunView, before: Status, situation: Situation, observed: Observed) -> dict[str, Any]:
    """Return stage, progress, counts and outputs."""
    if situation.phase == Phase.COMPLETE:
        return _tell_success(run, before, observed)
    if situation.phase == Phase.FAILED:
        return _tell_failure(before, observed)
    if observed.live is not None:
        live = observed.live
        return {"stage": live.stage, "progress": live.progress, "counts": live.counts or before.counts}
    stage = before.stage or (Stage.INITIALIZING if situation.phase == Phase.RUNNING else None)
    return {"stage": stage, "progress": before.progress, "counts": before.counts}


def _tell_success(run: RunView, before: Status, observed: Observed) -> dict[str, Any]:
    words = [summary_of(pod) for pod in observed.pods if pod.end is not None and pod.end.exit_code == 0]
    word = next((word for word in reversed(words) if word is not None), None)
    counts: Counts | None = word.counts if word and word.counts else before.counts
    outputs: Outputs | None = word.outputs if word and word.outputs else _expected_outputs(run)
    total = counts.input if counts else 0
    progress = make_progress(total, total) if total else Progress(percent=100)
    return {"stage": Stage.COMPLETED, "progress": progress, "counts": counts, "outputs": outputs}


def _expected_outputs(run: RunView) -> Outputs | None:
    """Return where results lie by what api.md promises, for a run whose last word was lost; None without a path."""
    datasource = run.document["spec"].get("datasources", {}).get("lightly", {})
    root = datasource.get("resourcePath")
    if not isinstance(root, str) or not root:
        return None
    folder = f"{root.rstrip('/')}/{RUNS_FOLDER}{run_id(run.key.name, run.uid)}/"
    return Outputs(
        path=folder,
        report_pdf=f"{folder}{REPORT_PDF}",
        report_json=f"{folder}{REPORT_JSON}",
        selected_filenames=f"{folder}{SELECTED_FILENAMES}",
    )


def _tell_failure(before: Status, observed: Observed) -> dict[str, Any]:
    """Return how far it came: by the last pod's word, else as the status knew."""
    words = [summary_of(pod) for pod in sorted(observed.pods, key=lambda pod: (pod.created, pod.name))]
    word = next((word for word in reversed(words) if word is not None), None)
    stage = word.stage if word else before.stage
    progress = before.progress if stage == before.stage else None
    return {"stage": stage, "progress": progress, "counts": (word.counts if word else None) or before.counts}


def _first_start(pods: Sequence[PodView]) -> str | None:
    return min((pod.started for pod in pods if pod.started), default=None)


def _completion_time(before: Status, situation: Situation, observed: Observed) -> str | None:
    if situation.phase not in (Phase.COMPLETE, Phase.FAILED):
        return None
    if observed.job is not None and observed.job.end is not None and observed.job.end.time:
        return observed.job.end.time
    return before.completion_time or write_time(observed.now)
