"""The operator away, doubled, late or deaf: what happens meanwhile is made up for, once."""

import collections
import threading
import time

import pytest
from testbed.lanes import complete_summary, conditions_of, held, message_of, summary
from testbed.lives import JOB, LIVES, end_state
from testbed.operator_process import OperatorProcess
from testbed.played_pods import ProgressPage, answer_json
from testbed.rest import JSON_PATCH
from testbed.waiting import wait_until

ENOUGH = 60


@pytest.fixture
def away(own_lane, control_plane, tmp_path):
    """An operator that is started by the test, when it likes."""
    running = OperatorProcess(tmp_path / "operator", control_plane.kubeconfig, [own_lane.namespace])
    yield running
    if running.process:
        running.kill()


def test_what_happened_while_the_operator_was_away_is_made_up_for(own_lane, away):
    """Created, finished, failed, deleted, suspended and changed without anybody to see it."""
    lane = own_lane
    created, invalid = lane.create(), lane.create({"workerConfig": {"no_such_key": 1}})
    away.start()
    names = ("finishes", "fails", "forgotten", "deleted", "suspended", "replaced")
    runs = {name: lane.create(name=name) for name in names}
    pods = {name: lane.pod_of(run) for name, run in runs.items()}
    for name, run in runs.items():
        lane.pods.run(pods[name])
        lane.wait_for(run, "Running")
    lane.wait_for(invalid, "InvalidSpec", "Invalid")
    assert len(lane.jobs_of(created)) == 1
    away.kill()
    born = lane.create()
    lane.pods.end(pods["finishes"], 0, complete_summary(runs["finishes"]))
    lane.pods.end(pods["fails"], 4, summary(4, "StorageRefused", "No permission.", "LOADING_DATASET"))
    lane.pods.end(pods["forgotten"], 3, "")
    lane.delete(runs["deleted"])
    lane.edit(runs["suspended"], {"suspend": True})
    lane.edit(invalid, {"workerConfig": {"no_such_key": None}})
    lane.delete(runs["replaced"])
    wait_until(lambda: lane.read(runs["replaced"]) is None, 20)
    replaced = lane.create(name="replaced")
    failed = wait_until(lambda: _ended(lane, runs["forgotten"]), 20, "the Job has failed")
    lane.rest.delete("pods", lane.namespace, pods["forgotten"]["metadata"]["name"], gracePeriodSeconds=0)
    wait_until(lambda: not lane.pods_of(runs["forgotten"]), 20)
    away.start()
    lane.wait_for(runs["finishes"], "Complete", "Complete")
    assert lane.wait_for(runs["fails"], "StorageRefused")["status"]["failure"]["message"] == "No permission."
    forgotten = lane.wait_for(runs["forgotten"], "JobFailed", "Failed")
    assert failed["message"] in forgotten["status"]["failure"]["message"]
    lane.wait_for(runs["suspended"], "SuspendedByUser", "Suspended")
    wait_until(lambda: lane.job_of(runs["suspended"])["spec"].get("suspend"), 20)
    for run in (born, invalid, replaced):
        assert lane.job_of(run)
        assert "Accepted" in held(lane.wait_for(run, "Pending"))
    wait_until(lambda: not lane.jobs_of(runs["deleted"]) and not lane.jobs_of(runs["replaced"]), 30)
    assert lane.read(runs["deleted"]) is None


def _ended(lane, run):
    conditions = lane.job_of(run)["status"].get("conditions", [])
    return next((one for one in conditions if one["type"] == "Failed" and one["status"] == "True"), None)


def test_a_job_made_by_an_earlier_life_of_the_operator_is_taken_over_untouched(own_lane, away):
    away.start()
    run, pod = own_lane.start()
    before = own_lane.job_of(run)
    assert away.terminate() == 0
    away.environment["SELECTION_JOB_IMAGE"] = "localhost/selection-job:next"
    away.environment["SELECTION_SHARED_MEMORY_SIZE"] = "7Gi"
    away.start()
    other = own_lane.create()
    (container,) = own_lane.job_of(other)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "localhost/selection-job:next"
    after = own_lane.job_of(run)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    own_lane.finish(run, pod)


def test_two_operators_at_once_make_one_job_each_and_agree(own_lane, proxied):
    pairs = [proxied([own_lane.namespace], resync_seconds=2) for _ in range(2)]
    for _, running in pairs:
        running.start(wait=False)
    for _, running in pairs:
        running.wait_until_healthy()
    runs = [own_lane.create() for _ in range(20)]
    pods = [own_lane.pod_of(run, timeout=ENOUGH) for run in runs]
    for pod in pods:
        own_lane.pods.run(pod)
    for run in runs:
        own_lane.wait_for(run, "Running", timeout=ENOUGH)
    for run, pod in zip(runs, pods, strict=True):
        own_lane.pods.end(pod, 0, complete_summary(run))
    for run in runs:
        own_lane.wait_for(run, "Complete", timeout=ENOUGH)
    assert [len(own_lane.jobs_of(run)) for run in runs] == [1] * len(runs)
    writes = [write for proxy, _ in pairs for run in runs for write in proxy.writes_about(run["metadata"]["name"])]
    made = collections.Counter(one.what for one in writes if one.status < 300)
    assert made[JOB] == len(runs)
    assert made["PUT selectionruns/status"] <= 4 * len(runs)
    assert {one.status for one in writes} <= {200, 201, 409}
    versions = {run["metadata"]["name"]: own_lane.read(run)["metadata"]["resourceVersion"] for run in runs}
    _let_resyncs_pass(pairs[0][0])
    assert {r["metadata"]["name"]: own_lane.read(r)["metadata"]["resourceVersion"] for r in runs} == versions


def test_of_two_operators_for_different_namespaces_one_serves_a_run_and_the_other_stands_back(own_lane, proxied):
    """Each hears something else of the pod whenever it asks; still the writes are those of one operator."""
    scopes = ([own_lane.namespace], [own_lane.namespace, "default"])
    pairs = [proxied(scope, progress_seconds=1, resync_seconds=2) for scope in scopes]
    for _, running in pairs:
        running.start(wait=False)
    for _, running in pairs:
        running.wait_until_healthy()

    def count_up(handler):
        asked.append(handler.path)
        answer_json(handler, {"stage": "EMBEDDING", "done": len(asked), "total": 1000 * (1 + len(asked) % 2)})

    asked = []
    with ProgressPage(count_up) as page:
        run, pod = own_lane.start(address=page.address)
        wait_until(lambda: len(asked) >= 12, ENOUGH)
        own_lane.finish(run, pod, ENOUGH)
    name = run["metadata"]["name"]
    statuses = [
        [one for one in proxy.writes_about(name) if one.what == "PUT selectionruns/status" and one.status < 300]
        for proxy, _ in pairs
    ]
    serving, standing = sorted(statuses, key=len, reverse=True)
    assert standing == []
    assert 5 <= len(serving) <= 4 + len(asked) // 2
    assert len(own_lane.jobs_of(run)) == 1
    assert own_lane.read(run)["status"]["operator"].startswith("selection-operator-")
    assert sum("stands back" in str(line.get("message")) for _, running in pairs for line in running.log()) == 1


def _let_resyncs_pass(proxy, count=3):
    def lists():
        return sum(
            verb == "GET" and "selectionruns" in path and "watch" not in path for _, verb, path in proxy.requests
        )

    begin = lists()
    wait_until(lambda: lists() >= begin + count, ENOUGH, f"{count} resyncs")


def _await_watches(proxy):
    """Return when the operator watches each of its kinds."""

    def is_watched(kind):
        return any("watch" in path and f"/{kind}?" in path for _, _, path in list(proxy.requests))

    wait_until(lambda: all(map(is_watched, ("selectionruns", "jobs", "pods"))), ENOUGH, "the watches are there")


def test_late_watches_end_in_the_same_state(own_lane, proxied):
    """A stale cache: the operator hears of everything, of its own writes too, most of a second later."""
    proxy, running = proxied([own_lane.namespace])
    running.start()
    reference = end_state(own_lane, LIVES["complete"].play(own_lane, "life-prompt"))
    proxy.rules.delay = 0.8
    assert end_state(own_lane, LIVES["complete"].play(own_lane, "life-late")) == reference
    assert collections.Counter(one.what for one in proxy.writes_about("life-late"))[JOB] == 1
    first = own_lane.create(name="phoenix")
    own_lane.job_of(first)
    own_lane.delete(first)
    second = own_lane.create(name="phoenix")
    wait_until(lambda: not own_lane.jobs_of(first), ENOUGH, "the garbage collector has taken the old Job")
    pod = own_lane.pod_of(second, timeout=ENOUGH)
    own_lane.pods.run(pod)
    own_lane.wait_for(second, "Running", timeout=ENOUGH)
    own_lane.finish(second, pod, ENOUGH)
    assert len(own_lane.jobs_of(second)) == 1
    assert end_state(own_lane, second) == reference


def test_with_deaf_watches_health_fails_and_work_goes_on_by_resync(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace], resync_seconds=2)
    running.start()
    run, pod = own_lane.start()
    assert running.health()[0] == 200
    proxy.rules.deaf = True
    other = own_lane.create()
    own_lane.pods.end(pod, 0, complete_summary(run))
    own_lane.wait_for(run, "Complete", timeout=ENOUGH)
    other_pod = own_lane.pod_of(other, timeout=ENOUGH)
    own_lane.pods.run(other_pod)
    own_lane.wait_for(other, "Running", timeout=ENOUGH)
    own_lane.finish(other, other_pod, ENOUGH)
    own_lane.create()
    _status, text = wait_until(lambda: (found := running.health())[0] == 500 and found, ENOUGH, "/healthz fails")
    assert "watch" in text.lower()


def test_an_api_server_that_is_away_for_a_while_is_waited_for(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace])
    running.start()
    run = own_lane.create(name="first")
    own_lane.job_of(run)
    proxy.rules.down = True
    other = own_lane.create(name="second")
    pod = own_lane.pod_of(run)
    own_lane.pods.run(pod)
    until = time.monotonic() + 5
    wait_until(lambda: time.monotonic() > until, 10)
    proxy.rules.down = False
    own_lane.wait_for(run, "Running", timeout=120)
    own_lane.finish(run, pod, ENOUGH)
    assert own_lane.job_of(other, timeout=120)
    assert running.starts == 1


def test_answers_that_are_no_json_are_outlived(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace], resync_seconds=1)
    running.start()
    _await_watches(proxy)  # before, it looks up what the server can do, and can't go on without
    proxy.rules.garbled = True
    run = own_lane.create()
    _let_resyncs_pass(proxy, 2)
    assert own_lane.jobs_of(run) == []
    proxy.rules.garbled = False
    pod = own_lane.pod_of(run, timeout=ENOUGH)
    own_lane.pods.run(pod)
    own_lane.wait_for(run, "Running", timeout=ENOUGH)
    assert running.health()[0] == 200
    assert running.starts == 1


def test_no_write_is_made_while_nothing_happens(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace], resync_seconds=1)
    running.start()
    for n in range(4):
        own_lane.create(name=f"waits-{n}")
    run, _pod = own_lane.start(name="runs")
    done, done_pod = own_lane.start(name="done")
    own_lane.finish(done, done_pod)
    own_lane.wait_for(own_lane.create({"workerConfig": {"no": 1}}, name="invalid"), phase="Invalid")
    own_lane.wait_for(own_lane.create({"suspend": True}, name="suspended"), phase="Suspended")
    _let_resyncs_pass(proxy, 2)
    before = len(proxy.writes)
    _let_resyncs_pass(proxy, 4)
    assert [one.what for one in proxy.writes[before:]] == []
    assert {message_of(own_lane.read(one)) for one in (run, done)}
    assert conditions_of(own_lane.read(run))["Ready"]["reason"] == "Running"


def test_edits_of_others_between_two_writes_are_not_lost(own_lane, proxied):
    """Labels and annotations change all the time while the operator writes statuses."""
    _, running = proxied([own_lane.namespace])
    running.start()
    run = own_lane.create(name="busy", labels={"n": "0"})
    stop = threading.Event()

    def relabel():
        path = f"/apis/dataselection.io/v1alpha1/namespaces/{own_lane.namespace}/selectionruns/busy"
        n = 0
        while not stop.is_set():
            n += 1
            patch = [{"op": "replace", "path": "/metadata/labels/n", "value": str(n)}]
            own_lane.rest.send("PATCH", path, patch, JSON_PATCH)
            stop.wait(0.02)
        counted.append(n)

    counted = []
    thread = threading.Thread(target=relabel)
    thread.start()
    try:
        pod = own_lane.pod_of(run, timeout=ENOUGH)
        own_lane.pods.run(pod)
        own_lane.wait_for(run, "Running", timeout=ENOUGH)
        own_lane.finish(run, pod, ENOUGH)
    finally:
        stop.set()
        thread.join()
    assert own_lane.read(run)["metadata"]["labels"]["n"] == str(counted[0])
    assert len(own_lane.jobs_of(run)) == 1
