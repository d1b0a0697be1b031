"""A run's life without trouble: what is written, when, and that nothing else is."""

import hashlib
import json
import time

import pytest
from testbed.lanes import CONDITIONS, COUNTS, complete_summary, conditions_of, job_name
from testbed.operator_process import JOB_IMAGE
from testbed.played_pods import ProgressPage
from testbed.rest import ApiError
from testbed.waiting import wait_until

LABEL_QUEUE, LABEL_PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
HELD_AT_START = {"Accepted", "Reconciling"}


def true_conditions(run):
    return {name for name, one in conditions_of(run).items() if one["status"] == "True"}


def test_first_status_comes_within_a_second(lane):
    begin = time.monotonic()
    run = lane.create()
    first = wait_until(lambda: (found := lane.read(run))["status"].get("conditions") and found, 10)
    assert time.monotonic() - begin < 1
    assert first["status"]["observedGeneration"] == 1
    assert first["status"]["job"]["name"] == job_name(run)
    assert first["status"]["phase"] == "Pending"
    assert list(conditions_of(first)) == CONDITIONS
    assert true_conditions(first) == HELD_AT_START


def test_a_new_run_reads_as_unseen_until_the_operator_has_seen_it(own_lane):
    run = own_lane.create()
    assert run["status"] == {"observedGeneration": -1}


def test_there_is_exactly_one_job_and_it_is_the_runs(lane):
    run = lane.create()
    job = lane.job_of(run)
    assert job["metadata"]["name"] == job_name(run)
    (owner,) = job["metadata"]["ownerReferences"]
    assert not owner.pop("blockOwnerDeletion", False)
    assert owner == {
        "apiVersion": "dataselection.io/v1alpha1",
        "kind": "SelectionRun",
        "name": run["metadata"]["name"],
        "uid": run["metadata"]["uid"],
        "controller": True,
    }
    lane.pods.run(lane.pod_of(run))
    running = lane.wait_for(run, "Running")
    assert running["status"]["job"] == {"name": job_name(run), "uid": job["metadata"]["uid"]}
    assert len(lane.jobs_of(run)) == 1


def test_job_and_pod_carry_the_labels_that_find_them(lane):
    run = lane.create(labels={LABEL_QUEUE: "gpu", LABEL_PRIORITY: "high", "app.kubernetes.io/instance": "argo-app"})
    job = lane.job_of(run)
    ours = {
        "app.kubernetes.io/managed-by": "selection-operator",
        "dataselection.io/run": run["metadata"]["name"],
        "dataselection.io/run-uid": run["metadata"]["uid"],
    }
    labels, pod_labels = job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]
    assert {key: labels[key] for key in ours} == ours
    assert {key: pod_labels[key] for key in ours} == ours
    assert (labels[LABEL_QUEUE], labels[LABEL_PRIORITY]) == ("gpu", "high")
    assert not {LABEL_QUEUE, LABEL_PRIORITY, "app.kubernetes.io/instance"} & set(pod_labels)
    assert "app.kubernetes.io/instance" not in labels


def test_the_pod_is_what_the_manifest_asks_for(lane):
    changes = {
        "backoffLimit": 5,
        "activeDeadlineSeconds": 7200,
        "resources": {"limits": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}},
        "podTemplate": {
            "labels": {"team": "vision"},
            "annotations": {"example.com/note": "hello"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "serviceAccountName": "reader",
            "imagePullSecrets": [{"name": "pull"}],
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "image": "registry.example.com/own:2",
            "sharedMemorySize": "3Gi",
        },
    }
    job = lane.job_of(lane.create(changes))
    pod, template = job["spec"]["template"]["spec"], job["spec"]["template"]
    (container,) = pod["containers"]
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (5, 7200)
    assert container["image"] == "registry.example.com/own:2"
    limits, requests = container["resources"]["limits"], container["resources"]["requests"]
    assert (limits["cpu"], limits["memory"], limits["nvidia.com/gpu"]) == ("4", "16Gi", "1")
    assert requests["cpu"] == "500m"
    assert limits["ephemeral-storage"] == requests["ephemeral-storage"]
    assert template["metadata"]["labels"]["team"] == "vision"
    assert template["metadata"]["annotations"]["example.com/note"] == "hello"
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pod["serviceAccountName"] == "reader"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    (shared_memory,) = (v["emptyDir"] for v in pod["volumes"] if v.get("emptyDir", {}).get("medium") == "Memory")
    assert shared_memory["sizeLimit"] == "3Gi"


def test_the_job_retries_as_the_exit_codes_say(lane):
    job = lane.job_of(lane.create())
    rules = job["spec"]["podFailurePolicy"]["rules"]
    fail = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
    ignored = [pattern["type"] for rule in rules if rule["action"] == "Ignore" for pattern in rule["onPodConditions"]]
    assert sorted(code for codes in fail for code in codes) == [2, 3, 4]
    assert ignored == ["DisruptionTarget"]
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["backoffLimit"] == 3
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_manifest_travels_in_the_pod_and_its_digest_in_the_arguments(lane):
    run = lane.create({"workerConfig": {"n_example_images": 8}})
    template = lane.job_of(run)["spec"]["template"]
    text = template["metadata"]["annotations"]["dataselection.io/manifest"]
    manifest = json.loads(text)
    assert manifest["spec"] == run["spec"]
    assert manifest["metadata"]["uid"] == run["metadata"]["uid"]
    assert manifest["metadata"]["name"] == run["metadata"]["name"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    (container,) = template["spec"]["containers"]
    assert container["args"] == ["run", "/etc/selection/manifest.json", "--digest", f"sha256:{digest}"]
    paths = [
        (mount["mountPath"], item["path"], item["fieldRef"]["fieldPath"])
        for volume in template["spec"]["volumes"]
        for item in volume.get("downwardAPI", {}).get("items", [])
        for mount in container["volumeMounts"]
        if mount["name"] == volume["name"]
    ]
    field = "metadata.annotations['dataselection.io/manifest']"
    assert paths == [("/etc/selection", "manifest.json", field)] or paths == [
        ("/etc/selection/manifest.json", "manifest.json", field)
    ]


def test_one_claim_used_twice_is_mounted_where_each_datasource_says(lane):
    changes = {
        "datasources": {
            "input": {"resourcePath": "/photos/", "persistentVolumeClaim": {"claimName": "photos", "readOnly": True}},
            "lightly": {"resourcePath": "/results/", "persistentVolumeClaim": {"claimName": "results"}},
        }
    }
    pod = lane.job_of(lane.create(changes))["spec"]["template"]["spec"]
    claims = {v["name"]: v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    mounts = {
        mount["mountPath"].rstrip("/"): claims[mount["name"]]["claimName"]
        for mount in pod["containers"][0]["volumeMounts"]
        if mount["name"] in claims
    }
    assert mounts == {"/photos": "photos", "/results": "results"}


def test_the_pod_passes_pod_security_restricted(shared, operator):
    lane = shared["restricted"]
    run = lane.create()
    pod = lane.pod_of(run)
    spec = pod["spec"]
    (container,) = spec["containers"]
    security, of_container = spec["securityContext"], container["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (65532, 65532, 65532)
    assert security["runAsNonRoot"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert of_container["readOnlyRootFilesystem"]
    assert not of_container["allowPrivilegeEscalation"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["terminationGracePeriodSeconds"] == 60
    assert container["image"] == JOB_IMAGE
    assert {(port["name"], port["containerPort"]) for port in container["ports"]} == {("metrics", 9090)}
    assert not [v for v in spec["volumes"] if "projected" in v and "serviceAccountToken" in json.dumps(v)]


def test_the_environment_leads_every_cache_to_scratch(lane):
    pod = lane.job_of(lane.create())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    expected = {
        "HOME": "/tmp/home",
        "TMPDIR": "/tmp",
        "TORCH_HOME": "/tmp/torch",
        "NUMBA_CACHE_DIR": "/tmp/numba",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "SELECTION_SECRETS": "/etc/selection/secrets",
    }
    assert {key: environment.get(key) for key in expected} == expected
    empty = {v["name"]: v["emptyDir"] for v in pod["volumes"] if "emptyDir" in v}
    at = {mount["mountPath"]: empty[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in empty}
    assert at["/tmp"]["sizeLimit"] == "1Gi"
    assert (at["/dev/shm"]["medium"], at["/dev/shm"]["sizeLimit"]) == ("Memory", "2Gi")


def test_a_run_comes_to_its_end_with_counts_and_outputs(lane):
    run = lane.create()
    pod = lane.pod_of(run)
    assert lane.wait_for(run, "Pending")["status"]["phase"] == "Pending"
    lane.pods.run(pod)
    running = lane.wait_for(run, "Running", "Running")
    assert true_conditions(running) == HELD_AT_START
    assert running["status"]["startTime"]
    done = lane.finish(run, pod)
    assert true_conditions(done) == {"Accepted", "Complete", "Ready"}
    status, word = done["status"], complete_summary(run)
    assert status["counts"] == COUNTS
    assert {key: status["outputs"][key] for key in word["outputs"]} == word["outputs"]
    assert status["stage"] == "COMPLETED"
    assert status["completionTime"] >= status["startTime"]
    assert "failure" not in status


def test_events_tell_the_story_once(lane):
    run, pod = lane.start()
    lane.finish(run, pod)
    wait_until(lambda: any(event["reason"] == "Complete" for event in lane.events_of(run)), 10)
    events = lane.events_of(run)
    reasons = [event["reason"] for event in events]
    assert reasons[-2:] == ["Running", "Complete"]
    assert len(reasons) == len(set(reasons))
    assert {event.get("reportingComponent") or event["source"]["component"] for event in events} == {
        "selection-operator"
    }
    assert {event["type"] for event in events} == {"Normal"}


def test_last_transition_time_moves_only_with_the_status(lane):
    run = lane.create()
    pod = lane.pod_of(run)
    first = conditions_of(lane.wait_for(run, "Pending"))
    begin = int(time.time())
    wait_until(lambda: time.time() >= begin + 1, 5, "the next second has begun")
    lane.pods.run(pod)
    lane.wait_for(run, "Running")
    done = conditions_of(lane.finish(run, pod))
    moved = {name for name in CONDITIONS if done[name]["lastTransitionTime"] != first[name]["lastTransitionTime"]}
    assert moved <= {"Complete", "Ready", "Reconciling"}


def test_the_operator_writes_nothing_on_a_run_but_its_status(lane):
    run, pod = lane.start(labels={"team": "vision"}, annotations={"example.com/note": "hello"})
    done = lane.finish(run, pod)
    kept = ("labels", "annotations", "generation", "finalizers", "ownerReferences")
    assert {key: done["metadata"].get(key) for key in kept} == {key: run["metadata"].get(key) for key in kept}
    managers = {(field["manager"], field.get("subresource")) for field in done["metadata"]["managedFields"]}
    assert len([one for one in managers if one[1] == "status"]) == 1
    assert done["spec"] == run["spec"]


def test_progress_reaches_the_status(lane):
    with ProgressPage() as page:
        page.value = {"stage": "EMBEDDING", "done": 1200, "total": 5000, "counts": {"input": 5000, "corrupt": 3}}
        run, pod = lane.start(address=page.address)
        seen = lane.wait_for(run, holds=lambda run: run["status"].get("progress"))
        assert seen["status"]["stage"] == "EMBEDDING"
        assert seen["status"]["progress"] == {"done": 1200, "total": 5000, "percent": 24}
        assert (seen["status"]["counts"]["input"], seen["status"]["counts"]["corrupt"]) == (5000, 3)
        page.value = {"stage": "SAMPLING", "done": 10, "total": 10}
        seen = lane.wait_for(run, holds=lambda run: run["status"]["stage"] == "SAMPLING")
        assert seen["status"]["progress"] == {"done": 10, "total": 10, "percent": 100}
        assert seen["status"]["counts"]["input"] == 5000
        assert set(page.asked) == {"/progress"}
        done = lane.finish(run, pod)
    assert done["status"]["counts"] == COUNTS


def test_a_manifest_in_use_is_frozen_but_for_two_fields(lane):
    run = lane.create()
    lane.job_of(run)
    words = "the spec is frozen once the run has its Job: only suspend and ttlSecondsAfterFinished may change"
    message = f"[ []spec: Invalid value: .*{words}"
    for spec in ({"backoffLimit": 9}, {"workerConfig": {"n_example_images": 3}}, {"resources": None}):
        with pytest.raises(ApiError, match=message):
            lane.edit(run, spec)
    assert lane.edit(run, {"ttlSecondsAfterFinished": 86400})["spec"]["ttlSecondsAfterFinished"] == 86400
    assert lane.edit(run, {"suspend": True})["spec"]["suspend"] is True


def test_a_deleted_run_takes_its_job_and_pods_along(lane):
    run, _pod = lane.start()
    lane.delete(run)
    wait_until(lambda: lane.read(run) is None, 10, "the run is gone without anybody's help")
    wait_until(lambda: not lane.jobs_of(run), 30, "the garbage collector has taken the Job")
    wait_until(lambda: lane.has_no_pods(run), 30, "and its pods")


def test_a_run_of_the_same_name_gets_a_job_of_its_own(lane):
    first, _pod = lane.start(name="again")
    lane.delete(first)
    wait_until(lambda: lane.read(first) is None, 10)
    second = lane.create(name="again")
    assert lane.job_of(second)["metadata"]["name"] == job_name(second) != job_name(first)
    next_pod = lane.pod_of(second)
    lane.pods.run(next_pod)
    lane.wait_for(second, "Running")
    assert lane.finish(second, next_pod)["status"]["counts"] == COUNTS


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_finished_run_is_deleted_when_its_time_is_over(lane, seconds):
    run, pod = lane.start({"ttlSecondsAfterFinished": seconds})
    begin = time.monotonic()
    lane.pods.end(pod, 0, complete_summary(run))
    wait_until(lambda: lane.read(run) is None, 20, "the run is gone")
    assert time.monotonic() - begin > seconds - 1
    wait_until(lambda: not lane.jobs_of(run), 30, "the Job is gone")


def test_ttl_may_be_set_on_a_run_that_is_done(lane):
    run, pod = lane.start()
    lane.finish(run, pod)
    lane.edit(run, {"ttlSecondsAfterFinished": 0})
    wait_until(lambda: lane.read(run) is None, 20, "the run is gone")


def test_long_names_fit(lane):
    run = lane.create(name="a" * 54)
    assert len(lane.job_of(run)["metadata"]["name"]) == 63
    lane.pod_of(run)
    with pytest.raises(ApiError, match=r"metadata\.name must be at most 54 characters"):
        lane.create(name="a" * 55)


def test_defaults_of_resources_come_from_the_operator_where_the_run_has_none(lane):
    def limits(changes):
        (container,) = lane.job_of(lane.create(changes))["spec"]["template"]["spec"]["containers"]
        return container["resources"]["limits"]

    assert limits({"resources": None})["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in limits({"resources": None, "lightlyConfig": {"trainer": {"gpus": 0}}})
    assert "nvidia.com/gpu" not in limits({})
