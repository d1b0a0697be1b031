"""What runs cost: writes to the API server, and polling of pods."""

import itertools
import time

from testbed.many_runs import measure_many_runs
from testbed.played_pods import ProgressPage, answer_json
from testbed.waiting import wait_until

MANY = 200


def test_two_hundred_runs_at_once_get_a_job_each_for_four_writes_each(control_plane, tmp_path):
    figures = measure_many_runs(control_plane, MANY, tmp_path)
    assert figures.jobs == MANY
    assert max(figures.writes_per_run) <= 4
    assert figures.idle_writes == 0
    assert figures.resident_mb < 256


def test_progress_is_asked_for_gently_and_written_only_when_it_changed(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace], progress_seconds=2, resync_seconds=1)
    running.start()

    def count_up(handler):
        asked.append(time.monotonic())
        answer_json(handler, {"stage": "EMBEDDING", "done": len(asked), "total": 1000})

    asked = []
    with ProgressPage(count_up) as rising, ProgressPage() as standing:
        standing.value = {"stage": "EMBEDDING", "done": 5, "total": 1000}
        own_lane.start(name="rising", address=rising.address)
        own_lane.start(name="standing", address=standing.address)
        wait_until(lambda: len(asked) >= 5 and len(standing.asked) >= 5, 60)
        pauses = [after - before for before, after in itertools.pairwise(asked)]
        assert min(pauses) > 1.5
        assert len(proxy.writes_about("rising")) <= 3 + len(asked)
        assert len(proxy.writes_about("standing")) == 4  # status, Job, Running, and the progress once


def test_metrics_count_what_happened(own_lane, proxied):
    proxy, running = proxied([own_lane.namespace])
    running.start()
    run, pod = own_lane.start()
    own_lane.finish(run, pod)
    own_lane.start()
    own_lane.wait_for(own_lane.create({"workerConfig": {"no": 1}}), phase="Invalid")

    def count(name, **labels):
        return running.metrics().get((name, tuple(sorted(labels.items()))), 0)

    def runs(phase, reason):
        return count("selection_operator_runs", phase=phase, reason=reason)

    wait_until(lambda: runs("Complete", "Complete") == 1, 10)
    assert (runs("Running", "Running"), runs("Invalid", "InvalidSpec")) == (1, 1)
    statuses = [write for write in proxy.writes if write.what == "PUT selectionruns/status"]
    samples = running.metrics()
    writes = {key: value for key, value in samples.items() if key[0] == "selection_operator_api_writes_total"}
    by_verb = {dict(labels)["verb"].lower() + " " + dict(labels)["resource"]: n for (_, labels), n in writes.items()}
    assert by_verb["post jobs"] == 2
    assert by_verb["put selectionruns/status"] == len(statuses)
    assert count("selection_operator_reconcile_seconds_count") > 0
    assert ("selection_operator_queue_depth", ()) in samples


def test_the_log_is_json_with_run_and_uid(lane, operator):
    run, pod = lane.start()
    lane.finish(run, pod)
    fields = {"namespace": lane.namespace, "run": run["metadata"]["name"], "uid": run["metadata"]["uid"]}

    def lines():
        return [line for line in operator.log() if fields.items() <= line.items()]

    wait_until(lambda: any("Complete" in line["message"] for line in lines()), 10)
    assert [line for line in operator.log() if "text" in line] == []
