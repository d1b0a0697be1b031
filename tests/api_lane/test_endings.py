"""How a run ends: each exit, each limit, and that an end is the end."""

import json
import time

import pytest
from testbed.lanes import COUNTS, conditions_of, held, message_of, summary
from testbed.played_pods import ProgressPage
from testbed.stories import story
from testbed.waiting import wait_until


def check_failed(run, reason, words, exit_code=None):
    assert held(run) == {"Accepted", "Failed", "Stalled"}
    failure = run["status"]["failure"]
    assert failure["reason"] == reason
    assert words in failure["message"]
    assert failure.get("exitCode") == exit_code
    assert words in conditions_of(run)["Ready"]["message"]
    assert run["status"]["completionTime"]


@pytest.mark.parametrize(
    ("exit_code", "reason"),
    [(2, "InvalidManifest"), (3, "UnusableData"), (4, "StorageRefused")],
)
def test_what_no_retry_can_mend_fails_at_once_with_the_jobs_words(lane, exit_code, reason):
    run = lane.create()
    pod = lane.fail_pod(run, exit_code=exit_code, last_word=summary(exit_code, reason, "Do this.", "LOADING_DATASET"))
    failed = lane.wait_for(run, reason, "Failed")
    check_failed(failed, reason, "Do this.", exit_code)
    assert failed["status"]["stage"] == "LOADING_DATASET"
    assert [one["metadata"]["uid"] for one in lane.pods_of(run)] == [pod["metadata"]["uid"]]
    events = wait_until(lambda: [e for e in lane.events_of(run) if e["reason"] == reason], 10)
    assert [event["type"] for event in events] == ["Warning"]


@pytest.mark.parametrize(
    ("exit_code", "last_word", "reason", "words"),
    [
        (75, summary(75, "TryAgain", "The network is down.", "EMBEDDING"), "TryAgain", "The network is down."),
        (1, summary(1, "Unexpected", "KeyError: 'a'", "EMBEDDING"), "Unexpected", "KeyError: 'a'"),
        (1, "", "Unexpected", "1"),
        (139, "", "Unexpected", "139"),
        (42, "no JSON at all", "Unexpected", "42"),
    ],
)
def test_a_run_that_may_not_try_again_fails_with_the_last_attempts_end(lane, exit_code, last_word, reason, words):
    run = lane.create({"backoffLimit": 0})
    lane.fail_pod(run, exit_code=exit_code, last_word=last_word)
    check_failed(lane.wait_for(run, reason, "Failed"), reason, words, exit_code)


@story
def test_the_backoff_limit_counts_attempts(lane):
    run = lane.create({"backoffLimit": 1})
    first = lane.fail_pod(run, exit_code=75, last_word=summary(75, "TryAgain", "First.", "EMBEDDING"))
    lane.wait_for(run, "Retrying", "Pending")
    lane.fail_pod(run, [first], exit_code=75, last_word=summary(75, "TryAgain", "Second.", "SAMPLING"))
    failed = lane.wait_for(run, "TryAgain", "Failed", timeout=60)
    check_failed(failed, "TryAgain", "Second.", 75)
    assert failed["status"]["stage"] == "SAMPLING"


def early_word(stage):
    return summary(1, "Unexpected", "ended without a last word", stage)


@story
def test_out_of_memory_twice_in_one_stage_ends_the_run_with_advice(lane):
    run = lane.create({"backoffLimit": 6})
    first = lane.fail_pod(run, exit_code=137, last_word=early_word("EMBEDDING"), reason="OOMKilled")
    seen = lane.wait_for(run, "Retrying", "Pending")
    assert "memory" in conditions_of(seen)["Ready"]["message"].lower()
    second = lane.fail_pod(run, [first], exit_code=137, last_word=early_word("EMBEDDING"), reason="OOMKilled")
    failed = lane.wait_for(run, "OOMKilled", "Failed", timeout=60)
    check_failed(failed, "OOMKilled", "memory", 137)
    assert failed["status"]["stage"] == "EMBEDDING"
    wait_until(lambda: lane.jobs_of(run)[0]["spec"].get("activeDeadlineSeconds") == 1, 10, "the operator ends the Job")
    wait_until(lambda: job_failed(lane, run), 30, "the Job has ended")
    assert {p["metadata"]["uid"] for p in lane.pods_of(run)} <= {p["metadata"]["uid"] for p in (first, second)}
    assert lane.read(run)["status"] == failed["status"]


@story
def test_out_of_memory_in_different_stages_goes_on(lane):
    run = lane.create({"backoffLimit": 6})
    first = lane.fail_pod(run, exit_code=137, last_word=early_word("TRAINING"), reason="OOMKilled")
    lane.wait_for(run, "Retrying", "Pending")
    second = lane.fail_pod(run, [first], exit_code=137, last_word=early_word("EMBEDDING"), reason="OOMKilled")
    wait_until(lambda: "Attempt 2 of 7" in message_of(lane.read(run)), 20, "it goes on")
    assert lane.wait_for(run, phase="Pending")["status"].get("failure") is None
    assert "activeDeadlineSeconds" not in lane.job_of(run)["spec"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


def test_out_of_memory_at_the_backoff_limit_fails_as_such(lane):
    run = lane.create({"backoffLimit": 0})
    lane.fail_pod(run, exit_code=137, last_word=early_word("TRAINING"), reason="OOMKilled")
    check_failed(lane.wait_for(run, "OOMKilled", "Failed"), "OOMKilled", "memory", 137)


@story
def test_a_run_past_its_deadline_fails(lane):
    run, _pod = lane.start({"activeDeadlineSeconds": 2})
    wait_until(lambda: lane.let_go(run), 30, "the Job controller ends the pod")
    failed = lane.wait_for(run, "DeadlineExceeded", "Failed", timeout=30)
    check_failed(failed, "DeadlineExceeded", "activeDeadlineSeconds")
    wait_until(lambda: job_failed(lane, run), 30)
    assert lane.read(run)["status"]["failure"]["reason"] == "DeadlineExceeded"


@story
def test_a_pod_that_takes_its_time_to_end_is_not_called_waiting(lane):
    """Between SIGTERM and its end the pod runs: it saves what it has."""
    run, pod = lane.start({"activeDeadlineSeconds": 2})
    uid = pod["metadata"]["uid"]
    is_ending = lambda: [p for p in lane.pods_of(run) if "deletionTimestamp" in p["metadata"]]  # noqa: E731
    assert [p["metadata"]["uid"] for p in wait_until(is_ending, 30, "the Job controller ends the pod")] == [uid]
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() > begin + 3, 5)
    assert lane.read(run)["status"]["phase"] == "Running"
    lane.let_go(run)
    lane.wait_for(run, "DeadlineExceeded", "Failed", timeout=30)


@story
def test_a_disrupted_pod_is_replaced_without_counting_as_an_attempt(lane):
    run = lane.create({"backoffLimit": 0})
    first = lane.pod_of(run)
    lane.pods.run(first)
    lane.wait_for(run, "Running")
    lane.pods.disrupt(first, "PreemptionByScheduler", early_word("EMBEDDING"))
    seen = lane.wait_for(run, "Retrying", "Pending")
    assert "PreemptionByScheduler" in message_of(seen)
    assert seen["status"]["disruptions"]["count"] == 1
    second = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(second)
    lane.wait_for(run, "Running", "Running")
    lane.finish(run, second)


def disrupt_after_many(lane, count, stage, next_stage):
    """Let a run have been disrupted so often in a stage, and once more; returns run and pods.

    The first and the last are real; the count between is written into the status, which is where the operator keeps
    it: the Job controller takes ever longer to replace a pod, ten times would be half an hour.
    """
    run = lane.create()
    first = lane.pod_of(run)
    lane.pods.run(first)
    lane.pods.disrupt(first, "DeletionByTaintManager", early_word(stage))
    lane.wait_for(run, "Retrying", holds=lambda run: run["status"]["disruptions"]["count"] == 1)
    changes = {"status": {"disruptions": {"count": count}}}
    lane.rest.patch("selectionruns", lane.namespace, run["metadata"]["name"], changes, "status")
    second = lane.pod_of(run, besides=[first], timeout=60)
    lane.pods.run(second)
    lane.pods.disrupt(second, "DeletionByTaintManager", early_word(next_stage))
    return run, [first, second]


@story
def test_ten_disruptions_without_a_further_stage_end_the_run(lane):
    run, _ = disrupt_after_many(lane, 9, "EMBEDDING", "EMBEDDING")
    failed = lane.wait_for(run, "Disrupted", "Failed", timeout=30)
    check_failed(failed, "Disrupted", "10 times", failed["status"]["failure"].get("exitCode"))
    assert failed["status"]["disruptions"]["count"] == 10
    wait_until(lambda: job_failed(lane, run), 30, "the Job is ended too")
    assert lane.read(run)["status"]["failure"]["reason"] == "Disrupted"


@story
def test_a_further_stage_starts_the_count_of_disruptions_anew(lane):
    run, _ = disrupt_after_many(lane, 9, "TRAINING", "EMBEDDING")
    seen = lane.wait_for(run, "Retrying", holds=lambda run: run["status"]["disruptions"]["stage"] == "EMBEDDING")
    assert seen["status"]["disruptions"]["count"] == 1


def test_a_pod_that_the_kubelet_refused_is_quoted(lane):
    """No container has run: the pod's own status tells why."""
    run = lane.create({"backoffLimit": 0})
    pod = lane.pod_of(run)
    lane.pods.bind(pod)
    words = "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu"
    lane.pods.set_status(pod, phase="Failed", reason="UnexpectedAdmissionError", message=words)
    failed = lane.wait_for(run, phase="Failed")
    assert failed["status"]["failure"]["reason"] in ("JobFailed", "Unexpected")
    assert words in failed["status"]["failure"]["message"]


def test_an_end_is_the_end_when_the_job_goes(lane):
    run, pod = lane.start()
    done = lane.finish(run, pod)
    job = lane.job_of(run)
    lane.rest.delete("jobs", lane.namespace, job["metadata"]["name"], propagationPolicy="Background")
    wait_until(lambda: not lane.jobs_of(run), 20)
    other, other_pod = lane.start()
    lane.finish(other, other_pod)
    assert lane.jobs_of(run) == []
    assert lane.read(run)["status"] == done["status"]


def test_a_job_that_vanished_before_the_end_is_made_again(lane):
    run, pod = lane.start()
    job = lane.job_of(run)
    lane.rest.delete("jobs", lane.namespace, job["metadata"]["name"], propagationPolicy="Background")
    wait_until(lambda: job["metadata"]["uid"] not in [one["metadata"]["uid"] for one in lane.jobs_of(run)], 20)
    again = lane.job_of(run, timeout=60)
    assert again["metadata"]["name"] == job["metadata"]["name"]
    wait_until(lambda: not lane.let_go(run) and not is_there(lane, run, pod), 30)
    next_pod = lane.pod_of(run, besides=[pod], timeout=60)
    lane.pods.run(next_pod)
    seen = lane.wait_for(run, "Running", "Running", holds=lambda run: job_uid(run) == again["metadata"]["uid"])
    assert seen["status"]["job"]["name"] == job["metadata"]["name"]
    lane.finish(run, next_pod)
    assert len(lane.jobs_of(run)) == 1


def test_a_foreign_job_of_the_same_name_is_not_taken_for_the_runs(lane, operator):
    """The name is free to everybody: a Job that is not owned by the run is no answer to it."""
    run = lane.create({"suspend": True})
    lane.wait_for(run, "SuspendedByUser")
    name = f"{run['metadata']['name']}-{run['metadata']['uid'][:8]}"
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "example.invalid/other:1"}]}}
    foreign = {"metadata": {"name": name}, "spec": {"suspend": True, "template": pod}}
    lane.rest.create("jobs", lane.namespace, foreign)
    lane.edit(run, {"suspend": False})
    wait_until(lambda: name in conditions_of(lane.read(run))["Ready"]["message"], 20, "the status names the Job")
    assert lane.jobs_of(run) == []
    lane.rest.delete("jobs", lane.namespace, name, propagationPolicy="Background")
    lane.pods.run(lane.pod_of(run, timeout=90))
    lane.wait_for(run, "Running", "Running")


def hostile_words():
    good = summary(0, "Complete", "Done.", "COMPLETED", counts=COUNTS)
    return {
        "nothing": "",
        "no JSON": "Segmentation fault",
        "an array": "[1, 2, 3]",
        "a number": "1e999",
        "cut JSON": json.dumps(good)[:50],
        "binary": "\x00\x01\x02\ufffd\ud7ff",
        "4096 bytes": "x" * 4096,
        "deep": "[" * 2000 + "]" * 2000,
        "wrong types": json.dumps(good | {"counts": "many", "outputs": [1], "stage": 7}),
        "unknown stage": json.dumps(good | {"stage": "DANCING"}),
        "huge counts": json.dumps(good | {"counts": {"input": 10**30, "selected": -5}}),
        "other exit code": json.dumps(good | {"exitCode": 3, "reason": "UnusableData"}),
        "odd reason": json.dumps(good | {"reason": "not a reason, but a\nsentence"}),
        "unknown keys": json.dumps(good | {"extra": {"a": 1}}),
        "markup": json.dumps(good | {"message": "<script>alert(1)</script>\x1b[31m" + "é" * 100}),
    }


HOSTILE_WORDS = [(name, code) for name in hostile_words() for code in (0, 1)]


@pytest.fixture(scope="module")
def worded_runs(operator, shared):
    """A run for each hostile last word and exit code: all have ended."""
    lane, words = shared["common"], hostile_words()
    runs = {case: lane.create({"backoffLimit": 0}) for case in HOSTILE_WORDS}
    for (name, exit_code), run in runs.items():
        lane.fail_pod(run, exit_code=exit_code, last_word=words[name])
    return lane, runs


@pytest.mark.parametrize(("name", "exit_code"), HOSTILE_WORDS)
def test_a_hostile_last_word_changes_nothing_but_its_own_message(worded_runs, name, exit_code):
    lane, runs = worded_runs
    ended = lane.wait_for(runs[name, exit_code], phase="Failed" if exit_code else "Complete")
    assert conditions_of(ended)["Ready"]["reason"] == ("Unexpected" if exit_code else "Complete")
    if exit_code:
        assert ended["status"]["failure"]["exitCode"] == 1
        assert ended["status"]["failure"]["message"]


def send_forever(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b'{"stage": "EMBEDDING", ' + b" " * 65536)


def send_slowly(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", f"http://127.0.0.1:{handler.server.server_address[1]}/elsewhere")
    handler.end_headers()


def answer(value):
    from testbed.played_pods import answer_json

    return lambda handler: answer_json(handler, value)


HOSTILE_PAGES = {
    "huge": answer({"stage": "EMBEDDING", "done": 10**30, "total": 10**25, "counts": {"input": 10**40}}),
    "negative": answer({"stage": "EMBEDDING", "done": -5, "total": -10, "counts": {"input": -1, "corrupt": -7}}),
    "more than all": answer({"stage": "EMBEDDING", "done": 20, "total": 10}),
    "no total": answer({"stage": "EMBEDDING", "done": 20, "total": 0}),
    "wrong types": answer({"stage": ["EMBEDDING"], "done": "many", "total": {"a": 1}, "counts": [1]}),
    "floats": answer({"stage": "EMBEDDING", "done": 1.5, "total": 1e300}),
    "not a number": answer(b'{"stage": "EMBEDDING", "done": NaN, "total": Infinity}'),
    "true": answer({"stage": "EMBEDDING", "done": True, "total": True}),
    "unknown stage": answer({"stage": "DANCING", "done": 1, "total": 2}),
    "array": answer([1, 2]),
    "null": answer(None),
    "text": answer(b"hello"),
    "binary": answer(b"\xff\xfe\x00"),
    "empty": answer(b""),
    "deep": answer(b"[" * 100_000),
    "large": answer(b'{"stage": "EMBEDDING", "x": "' + b"x" * 5_000_000 + b'"}'),
    "endless": send_forever,
    "slow": send_slowly,
    "redirect": redirect,
}


@pytest.fixture(scope="module")
def hostile_runs(operator, shared):
    """One run for each hostile page, all running at once while one honest run reports."""
    from contextlib import ExitStack

    lane = shared["common"]
    with ExitStack() as stack:
        pages = {name: stack.enter_context(ProgressPage(page)) for name, page in HOSTILE_PAGES.items()}
        runs = {name: lane.create() for name in pages}
        for name, run in runs.items():
            lane.pods.run(lane.pod_of(run), pages[name].address)
        honest = stack.enter_context(ProgressPage())
        honest.value = {"stage": "EMBEDDING", "done": 1, "total": 4}
        run, _pod = lane.start(address=honest.address)
        lane.wait_for(run, holds=lambda run: run["status"].get("progress", {}).get("percent") == 25)
        wait_until(lambda: all(len(page.asked) >= 2 for page in pages.values()), 40, "each page was asked twice")
        yield lane, runs, pages
        honest.value = {"stage": "EMBEDDING", "done": 3, "total": 4}
        lane.wait_for(run, holds=lambda run: run["status"]["progress"]["percent"] == 75)


@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_a_hostile_progress_page_harms_nothing(hostile_runs, name):
    lane, runs, pages = hostile_runs
    seen = lane.wait_for(runs[name], "Running", "Running")
    progress = seen["status"].get("progress", {"done": 0, "total": 0, "percent": 0})
    assert 0 <= progress["percent"] <= 100
    assert 0 <= progress["done"] <= 2**53
    assert 0 <= progress["total"] <= 2**53
    assert progress["total"] == 0 or progress["done"] <= progress["total"]
    assert all(count >= 0 for count in seen["status"].get("counts", {}).values())
    assert set(pages[name].asked) == {"/progress"}
    (pod,) = lane.pods_of(runs[name])
    lane.finish(runs[name], pod)


def job_failed(lane, run):
    conditions = lane.jobs_of(run)[0]["status"].get("conditions", [])
    return any(one["type"] == "Failed" and one["status"] == "True" for one in conditions)


def is_there(lane, run, pod):
    return pod["metadata"]["uid"] in {one["metadata"]["uid"] for one in lane.pods_of(run)}


def job_uid(run):
    return run["status"].get("job", {}).get("uid")
