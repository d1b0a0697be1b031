"""What a pass decides: tables of situations, and the laws that hold in all of them."""

import pytest

from selection_api.names import Phase
from selection_operator.kind import Create, CreateFailure, Delete
from selection_operator.runs.job_manifest import end_job, set_job_suspended, set_workload_active
from selection_operator.runs.plan import make_plan
from selection_operator.runs.reconcile import decide
from selection_operator.views.jobs import WorkloadView
from selection_operator.views.resources import RUNS
from selection_operator.views.runs import view_run

QUEUE = {"kueue.x-k8s.io/queue-name": "gpu"}
OURS = {"dataselection.io/suspended-by": "selection-operator"}


def true_conditions(status):
    return {each["type"] for each in status["conditions"] if each["status"] == "True"}


def ready(status):
    return next(each for each in status["conditions"] if each["type"] == "Ready")


def after(run_raw, decision):
    """The run as the API server holds it once the decision's status is written."""
    return {**run_raw, "status": decision.status or run_raw["status"]}


@pytest.fixture
def reserved(play, settings):
    """A run whose first status was written."""

    def make(spec=None, **kw):
        raw = play.raw_run(spec, **kw)
        return after(raw, decide(view_run(raw), play.observed(), settings))

    return make


def test_the_first_pass_reserves_the_job_s_name_and_then_makes_the_job(play, settings):
    decision = decide(play.run(), play.observed(), settings)
    assert decision.status["job"] == {"name": "dashcam-1f2e3d4c"}
    assert true_conditions(decision.status) == {"Accepted", "Reconciling"}
    assert [type(action) for action in decision.actions] == [Create]
    assert decision.actions[0].body["metadata"]["name"] == "dashcam-1f2e3d4c"


def test_a_reserved_run_without_job_gets_its_job_without_another_write(play, settings, reserved):
    decision = decide(view_run(reserved()), play.observed(), settings)
    assert decision.status is None
    assert [type(action) for action in decision.actions] == [Create]


def test_a_run_that_is_being_deleted_is_left_alone(play, settings):
    decision = decide(play.run(deletionTimestamp=play.ago(1)), play.observed(), settings)
    assert (decision.status, decision.actions) == (None, ())


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"workerConfig": {"stoping_condition": {}}}, "InvalidSpec", "Did you mean"),
        ({"resources": None, "lightlyConfig": {"trainer": {"gpus": 2}}}, "NotSupported", "trainer.gpus"),
        ({"datasources": {"input": {"type": "LOCAL", "resourcePath": "/a"},
                          "lightly": {"type": "LOCAL", "resourcePath": "/b"}}}, "InvalidSpec", "persistentVolumeClaim"),
        ({"podTemplate": {"annotations": {f"a{n}": "x" * 60_000 for n in range(4)}}}, "TooLarge", "200000"),
    ],
    ids=["misspelt", "not supported", "folder without claim", "too large"],
)  # fmt: skip
def test_an_invalid_run_gets_no_job_and_every_problem_in_its_message(play, settings, spec, reason, words):
    decision = decide(play.run(spec), play.observed(), settings)
    accepted = next(each for each in decision.status["conditions"] if each["type"] == "Accepted")
    assert decision.actions == ()
    assert "job" not in decision.status
    assert (decision.status["phase"], accepted["status"], accepted["reason"]) == ("Invalid", "False", reason)
    assert words in accepted["message"]
    assert true_conditions(decision.status) == {"Stalled"}


def test_an_invalid_run_fixed_in_place_starts_as_a_fresh_one(play, settings):
    wrong = play.raw_run({"workerConfig": {"nonsense": 1}})
    told = after(wrong, decide(view_run(wrong), play.observed(), settings))
    fixed = {**play.raw_run(generation=2), "status": told["status"]}
    decision = decide(view_run(fixed), play.observed(), settings)
    assert true_conditions(decision.status) == {"Accepted", "Reconciling"}
    assert [type(action) for action in decision.actions] == [Create]


def test_a_job_that_the_server_refuses_frees_the_spec_until_it_changes(play, settings, reserved):
    run = reserved()
    refused = decide(
        view_run(run), play.observed(create_failure=CreateFailure(422, "affinity: Required value")), settings
    )
    assert "job" not in refused.status
    assert refused.actions == ()
    assert "affinity: Required value" in ready(refused.status)["message"]
    told = after(run, refused)
    assert decide(view_run(told), play.observed(), settings).actions == ()
    fixed = {**play.raw_run(generation=2), "status": told["status"]}
    assert decide(view_run(fixed), play.observed(), settings).actions != ()


def test_a_forbidden_job_is_told_and_tried_again(play, settings, reserved):
    decision = decide(
        view_run(reserved()), play.observed(create_failure=CreateFailure(403, "jobs is forbidden")), settings
    )
    assert ready(decision.status)["reason"] == "Forbidden"
    assert [type(action) for action in decision.actions] == [Create]


def test_a_run_suspended_before_its_start_gets_no_job(play, settings):
    decision = decide(play.run({"suspend": True}), play.observed(), settings)
    assert decision.actions == ()
    assert (decision.status["phase"], ready(decision.status)["reason"]) == ("Suspended", "SuspendedByUser")


@pytest.mark.parametrize(
    ("suspend", "job", "wanted"),
    [
        (True, {}, True),
        (True, {"suspend": True, "annotations": OURS}, None),
        (False, {"suspend": True, "annotations": OURS}, False),
        (False, {"suspend": True}, None),
        (False, {"suspend": True, "labels": QUEUE, "annotations": OURS}, None),
        (True, {"labels": QUEUE}, None),
    ],
    ids=["suspend", "is suspended", "resume", "somebody else's", "under a queue", "suspend under a queue"],
)
def test_a_job_is_suspended_for_its_user_and_resumed_only_if_it_was_us(play, settings, reserved, suspend, job, wanted):
    run = view_run({**reserved(), "spec": {**play.raw_run()["spec"], "suspend": suspend}})
    seen = play.observed(play.raw_job(**job))
    change = () if wanted is None else (set_job_suspended(seen.job, suspended=wanted),)
    assert decide(run, seen, settings).actions == change


@pytest.mark.parametrize(
    ("suspend", "active", "by_us", "wanted"),
    [(True, True, False, False), (False, False, True, True), (False, False, False, None), (True, False, True, None)],
    ids=["deactivate", "activate", "an admin's", "is inactive"],
)
def test_under_a_queue_suspend_goes_through_the_workload(play, settings, reserved, suspend, active, by_us, wanted):
    run = view_run({**reserved(), "spec": {**play.raw_run()["spec"], "suspend": suspend}})
    workload = WorkloadView("team", "w", active, by_us, "")
    seen = play.observed(play.raw_job(labels=QUEUE, suspend=True), workload=workload, kueue_enabled=True)
    change = () if wanted is None else (set_workload_active(workload, active=wanted),)
    assert decide(run, seen, settings).actions == change


def test_suspend_under_a_queue_without_kueue_enabled_says_why_it_can_t(play, settings, reserved):
    run = view_run({**reserved(), "spec": {**play.raw_run()["spec"], "suspend": True}})
    decision = decide(run, play.observed(play.raw_job(labels=QUEUE), [play.running()]), settings)
    suspended = next(each for each in decision.status["conditions"] if each["type"] == "Suspended")
    assert (suspended["status"], suspended["reason"]) == ("False", "SuspendNotPossible")
    assert "kueue.enabled" in suspended["message"]


@pytest.mark.parametrize(
    ("job", "pods", "phase", "reason"),
    [
        ({}, [], "Pending", "Pending"),
        ({}, [("raw_pod", {})], "Pending", "Pending"),
        ({}, [("running", {})], "Running", "Running"),
        ({"suspend": True}, [], "Queued", "Queued"),
        ({}, [("ended", {"exit_code": 0, "finished": 1})], "Running", "Running"),
        ({}, [("ended", {"exit_code": 2, "finished": 60})], "Running", "Running"),
        ({}, [("ended", {"exit_code": 75, "finished": 9})], "Pending", "Retrying"),
        ({}, [("ended", {"exit_code": 1, "finished": 9, "created": 30}), ("raw_pod", {"name": "two"})],
         "Pending", "Retrying"),
    ],
    ids=["no pod", "new pod", "running", "queued", "succeeded", "refused", "failed", "second attempt"],
)  # fmt: skip
def test_a_live_job_gives_phase_and_reason(play, settings, reserved, job, pods, phase, reason):
    seen = play.observed(play.raw_job(**job), [getattr(play, kind)(**kw) for kind, kw in pods])
    run = reserved()
    decision = decide(view_run(run), seen, settings)
    status = after(run, decision)["status"]
    assert (status["phase"], ready(status)["reason"]) == (phase, reason)
    assert not {"Complete", "Failed", "Stalled", "Ready"} & true_conditions(status)


FAILED = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}


@pytest.mark.parametrize(
    ("reason", "pods", "failure", "exit_code"),
    [
        ("PodFailurePolicy", [{"exit_code": 2}], "InvalidManifest", 2),
        ("PodFailurePolicy", [{"exit_code": 3}], "UnusableData", 3),
        ("PodFailurePolicy", [{"exit_code": 75, "name": "a", "created": 50}, {"exit_code": 4}], "StorageRefused", 4),
        ("BackoffLimitExceeded", [{"exit_code": 75}], "TryAgain", 75),
        ("BackoffLimitExceeded", [{"exit_code": 139}], "Unexpected", 139),
        ("BackoffLimitExceeded", [{"exit_code": 137, "reason": "OOMKilled"}], "OOMKilled", 137),
        ("DeadlineExceeded", [], "DeadlineExceeded", None),
        ("BackoffLimitExceeded", [], "JobFailed", None),
    ],
)
def test_a_failed_job_tells_why(play, settings, reserved, reason, pods, failure, exit_code):
    job = play.raw_job(conditions=[play.condition("Failed", reason=reason, at=5)], activeDeadlineSeconds=60)
    seen = play.observed(job, [play.ended(**pod) for pod in pods])
    status = decide(view_run(reserved()), seen, settings).status
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", failure)
    assert status["failure"].get("exitCode") == exit_code
    assert true_conditions(status) == {"Accepted", "Failed", "Stalled"}
    assert status["completionTime"] == play.ago(5)


def test_a_complete_job_gives_counts_and_outputs_of_the_last_word(play, settings, reserved):
    counts = {"input": 30, "corrupt": 1, "duplicate": 2, "selected": 5, "removed": 22}
    said = play.word("COMPLETED") | {"exitCode": 0, "counts": counts, "outputs": {"path": "/data/x/"}}
    job = play.raw_job(conditions=[play.condition("Complete", at=5)])
    status = decide(view_run(reserved()), play.observed(job, [play.ended(0, word=said)]), settings).status
    assert true_conditions(status) == {"Accepted", "Complete", "Ready"}
    assert (status["counts"], status["outputs"]["path"]) == (counts, "/data/x/")
    assert (status["stage"], status["progress"]["percent"]) == ("COMPLETED", 100)


@pytest.mark.parametrize("last_word", ["", "not json", '{"exitCode": "x"}', "{" * 4000])
def test_a_lost_last_word_still_names_the_outputs(play, settings, reserved, last_word):
    job = play.raw_job(conditions=[play.condition("Complete")])
    status = decide(view_run(reserved()), play.observed(job, [play.ended(0, word=last_word)]), settings).status
    assert status["outputs"]["reportJson"] == "/data/.lightly/runs/dashcam-1f2e3d4c/report.json"


def test_out_of_memory_twice_in_one_stage_fails_the_run_and_ends_its_job(play, settings, reserved):
    pods = [
        play.ended(137, "one", created=60, finished=50, reason="OOMKilled", word=play.word("EMBEDDING")),
        play.ended(137, "two", created=40, finished=30, reason="OOMKilled", word=play.word("EMBEDDING")),
    ]
    seen = play.observed(play.raw_job(), pods)
    decision = decide(view_run(reserved()), seen, settings)
    assert decision.status["failure"]["reason"] == "OOMKilled"
    assert "resources.limits.memory" in decision.status["failure"]["message"]
    assert decision.actions == (end_job(seen.job),)


def test_out_of_memory_in_two_stages_is_tried_again(play, settings, reserved):
    pods = [
        play.ended(137, "one", created=60, finished=50, reason="OOMKilled", word=play.word("TRAINING")),
        play.ended(137, "two", created=40, finished=30, reason="OOMKilled", word=play.word("EMBEDDING")),
    ]
    decision = decide(view_run(reserved()), play.observed(play.raw_job(), pods), settings)
    assert decision.status["phase"] == Phase.PENDING


def test_ten_disruptions_in_one_stage_fail_the_run(play, settings, reserved):
    run = reserved()
    disrupted = [play.condition("DisruptionTarget", reason="PreemptionByScheduler")]
    for number in range(10):
        pod = play.raw_pod(f"p{number}", phase="Failed", created=100 - number, conditions=disrupted)
        decision = decide(view_run(run), play.observed(play.raw_job(created=200), [pod]), settings)
        run = after(run, decision)
        assert run["status"]["disruptions"]["count"] == number + 1
    assert run["status"]["failure"]["reason"] == "Disrupted"
    assert [action.body["spec"] for action in decision.actions] == [{"activeDeadlineSeconds": 1}]


def over(play, settings, reserved, kind="Complete", spec=None):
    job = play.raw_job(conditions=[play.condition(kind, reason="DeadlineExceeded", at=100)])
    run = reserved(spec)
    return after(run, decide(view_run(run), play.observed(job), settings)), job


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
@pytest.mark.parametrize("job", ["gone", "running", "failed", "complete"])
def test_the_end_is_sticky_whatever_becomes_of_the_job(play, settings, reserved, kind, job):
    run, _ = over(play, settings, reserved, kind)
    jobs = {
        "gone": None,
        "running": play.raw_job(activeDeadlineSeconds=1),
        "failed": play.raw_job(conditions=[play.condition("Failed")]),
        "complete": play.raw_job(conditions=[play.condition("Complete")]),
    }
    decision = decide(view_run(run), play.observed(jobs[job]), settings)
    assert (decision.status, decision.actions) == (None, ())


def test_after_the_end_a_new_generation_is_observed_and_nothing_else_changes(play, settings, reserved):
    run, job = over(play, settings, reserved)
    run["metadata"]["generation"] = 2
    decision = decide(view_run(run), play.observed(job), settings)
    assert decision.status["observedGeneration"] == 2
    assert {each["observedGeneration"] for each in decision.status["conditions"]} == {2}
    masked = {**decision.status, "observedGeneration": 1}
    masked["conditions"] = [{**each, "observedGeneration": 1} for each in masked["conditions"]]
    assert masked == run["status"]


@pytest.mark.parametrize(("ttl", "deleted"), [(None, False), (0, True), (100, True), (101, False)])
def test_the_time_to_live_deletes_the_run(play, settings, reserved, ttl, deleted):
    run, job = over(play, settings, reserved, spec={"ttlSecondsAfterFinished": ttl})
    decision = decide(view_run(run), play.observed(job), settings)
    assert decision.actions == ((Delete(RUNS, view_run(run)),) if deleted else ())
    assert decision.again_after == (1 if ttl == 101 else None)


SITUATIONS = [
    (None, []),
    ({}, []),
    ({}, [("running", {})]),
    ({"suspend": True}, []),
    ({}, [("ended", {"exit_code": 75})]),
    ({"conditions": [{"type": "Complete", "status": "True"}]}, [("ended", {"exit_code": 0})]),
    ({"conditions": [{"type": "Failed", "status": "True"}]}, [("ended", {"exit_code": 9})]),
]


@pytest.mark.parametrize(("job", "pods"), SITUATIONS)
def test_a_pass_over_its_own_status_writes_nothing(play, settings, reserved, job, pods):
    seen = play.observed(
        play.raw_job(**job) if job is not None else None, [getattr(play, kind)(**kw) for kind, kw in pods]
    )
    run = reserved()
    once = after(run, decide(view_run(run), seen, settings))
    assert decide(view_run(once), seen, settings).status is None


@pytest.mark.parametrize(("job", "pods"), SITUATIONS)
def test_reconciling_and_stalled_never_meet(play, settings, reserved, job, pods):
    seen = play.observed(
        play.raw_job(**job) if job is not None else None, [getattr(play, kind)(**kw) for kind, kw in pods]
    )
    run = reserved()
    status = after(run, decide(view_run(run), seen, settings))["status"]
    assert not {"Reconciling", "Stalled"} <= true_conditions(status)
    assert len(status["conditions"]) == 7


def test_a_transition_time_changes_only_with_its_status(play, settings, reserved):
    run = reserved()
    for each in run["status"]["conditions"]:
        each["lastTransitionTime"] = play.ago(50)
    job = play.raw_job(conditions=[play.condition("Complete")])
    status = decide(view_run(run), play.observed(job), settings).status
    changed = {each["type"] for each in status["conditions"] if each["lastTransitionTime"] != play.ago(50)}
    assert changed == {"Complete", "Ready", "Reconciling"}


def test_the_job_is_the_same_whatever_operator_makes_it(play, settings):
    documents = [play.raw_run(), play.raw_run(status={"phase": "Pending"}, version="99")]
    assert len({make_plan(view_run(each).document, settings).digest for each in documents}) == 1
