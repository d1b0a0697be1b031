"""What the metrics say of runs: counted, dated, and without a memory of their own."""

import itertools

import pytest

from selection_api.names import Phase
from selection_operator.runs.status import TRUE_IN
from selection_operator.serving.metrics import RunsCollector

SCRIPT_ENDS = {Phase.COMPLETE, Phase.FAILED, Phase.INVALID, Phase.SUSPENDED}
FAILURE = "selection_operator_newest_failure_timestamp_seconds"
WAIT = "selection_operator_oldest_wait_timestamp_seconds"
NUMBERS = itertools.count()


@pytest.fixture
def run(play):
    """Return a function (phase, reason, {condition: seconds ago}) -> a run of that status."""

    def make(phase, reason="Some", at=()):
        conditions = []
        for kind, phases in TRUE_IN.items():
            since = dict(at).get(kind, 7200)
            conditions.append(play.condition(kind, "True" if phase in phases else "False", reason, at=since))
        return play.run(status={"phase": phase, "conditions": conditions}, name=f"run-{next(NUMBERS)}")

    return make


@pytest.fixture
def ages(play):
    """Return a function (metric, runs) -> {(phase, reason): seconds since the moment that the metric names}."""

    def read(metric, runs):
        [family] = [family for family in RunsCollector(lambda: runs).collect() if family.name == metric]
        now = play.NOW.timestamp()
        return {(one.labels["phase"], one.labels["reason"]): now - one.value for one in family.samples}

    return read


def test_a_failed_run_that_is_kept_grows_old_and_the_newest_failure_counts(run, ages):
    """The alert is about the last hour, so it resolves while the run is still there."""
    kept = [run(Phase.FAILED, "OOMKilled", {"Stalled": 90000}), run(Phase.FAILED, "OOMKilled", {"Stalled": 4000})]
    assert ages(FAILURE, kept) == {("Failed", "OOMKilled"): 4000}
    again = [*kept, run(Phase.FAILED, "OOMKilled", {"Stalled": 5}), run(Phase.INVALID, "InvalidSpec", {"Stalled": 60})]
    assert ages(FAILURE, again) == {("Failed", "OOMKilled"): 5, ("Invalid", "InvalidSpec"): 60}


def test_the_run_that_waits_longest_counts_since_it_was_accepted_admitted_or_resumed(run, ages):
    waiting = [
        run(Phase.PENDING, "Unschedulable", {"Accepted": 5000, "Suspended": 5000}),
        run(Phase.PENDING, "Unschedulable", {"Accepted": 90000, "Suspended": 40}),
        run(Phase.PENDING, "Pending", {"Accepted": 3, "Suspended": 3}),
        run(Phase.QUEUED, "Queued", {"Accepted": 8000, "Suspended": 700}),
    ]
    assert ages(WAIT, waiting) == {
        ("Pending", "Unschedulable"): 5000, ("Pending", "Pending"): 3, ("Queued", "Queued"): 700,
    }  # fmt: skip


def test_only_what_failed_has_failed_and_only_what_waits_waits(run, ages, play):
    runs = [run(phase, phase) for phase in Phase]
    assert {phase for phase, _ in ages(FAILURE, runs)} == {"Failed", "Invalid"}
    assert {phase for phase, _ in ages(WAIT, runs)} == {"Pending", "Queued"}
    unseen = [play.run()]
    assert ages(FAILURE, unseen) == ages(WAIT, unseen) == {}


def test_a_time_that_is_none_leaves_the_others_readable(run, ages):
    strange = run(Phase.FAILED)
    strange.status["conditions"][-1]["lastTransitionTime"] = "2026-03-01T12:00:60Z"
    assert ages(FAILURE, [strange, run(Phase.FAILED, "Other", {"Stalled": 5})]) == {("Failed", "Other"): 5}


def test_a_script_that_waits_for_reconciling_false_ends_with_every_end():
    assert set(Phase) - TRUE_IN["Reconciling"] == SCRIPT_ENDS
