"""The Job, against golden files and against what Pod Security and the job rely on."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from selection_api.pod_template import Resources
from selection_operator.runs.job_manifest import make_job, set_job_suspended, set_workload_active
from selection_operator.runs.plan import make_plan
from selection_operator.settings import Settings
from selection_operator.views.jobs import WorkloadView
from selection_operator.views.resources import WORKLOADS
from selection_operator.views.runs import view_run

GOLDEN = Path(__file__).parent / "golden"
FULL = {
    "backoffLimit": 1,
    "activeDeadlineSeconds": 3600,
    "resources": {"limits": {"cpu": 4, "memory": "16Gi", "nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}},
    "podTemplate": {
        "labels": {"team": "vision", "dataselection.io/run": "another"},
        "annotations": {"note": "kept"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "serviceAccountName": "bucket-reader",
        "priorityClassName": "low",
        "runtimeClassName": "nvidia",
        "imagePullSecrets": [{"name": "registry"}],
        "env": [{"name": "HOME", "value": "/tmp/elsewhere"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        "image": "example.org/other:2",
        "sharedMemorySize": "8Gi",
    },
}  # fmt: skip
QUEUE = {"kueue.x-k8s.io/queue-name": "gpu", "kueue.x-k8s.io/priority-class": "low", "argocd.argoproj.io/instance": "x"}
CASES = {"plain": (None, None), "full": (FULL, QUEUE), "chart-default": ({"resources": None}, None)}


def job_of(play, settings, spec=None, labels=None):
    return make_job(make_plan(play.run(spec, labels=labels).document, settings), settings)


@pytest.mark.parametrize("case", CASES)
def test_the_job_equals_its_golden_file(play, case):
    settings = Settings(
        job_image="example.org/selection-job:1",
        job_resources=Resources(limits={"memory": "8Gi"}, requests={"cpu": 1}),
        job_image_pull_secrets=("chart-registry",),
    )
    spec, labels = CASES[case]
    assert yaml.safe_dump(job_of(play, settings, spec, labels)) == (GOLDEN / f"job-{case}.yaml").read_text()


def test_the_manifest_travels_in_the_pod_template_and_its_digest_in_the_arguments(play, settings):
    job = job_of(play, settings)
    manifest = job["spec"]["template"]["metadata"]["annotations"]["dataselection.io/manifest"]
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments[-1] == f"sha256:{sha256(manifest.encode()).hexdigest()}"
    assert json.loads(manifest)["spec"] == play.raw_run()["spec"]
    assert json.loads(manifest)["metadata"] == {"name": "dashcam", "namespace": "team", "uid": play.UID}


def test_a_gitops_tool_s_labels_are_not_copied(play, settings):
    assert "argocd.argoproj.io/instance" not in job_of(play, settings, labels=QUEUE)["metadata"]["labels"]


def test_a_user_can_t_take_the_operator_s_labels_away(play, settings):
    template = job_of(play, settings, FULL)["spec"]["template"]
    assert template["metadata"]["labels"]["dataselection.io/run"] == "dashcam"


@pytest.mark.parametrize(
    ("spec", "gpus"),
    [
        ({"resources": None}, 1),
        ({"resources": None, "lightlyConfig": {"trainer": {"gpus": 0}}}, None),
        ({"resources": {}}, None),
        ({"resources": {"limits": {"nvidia.com/gpu": 2}}}, 2),
    ],
)
def test_gpus_come_from_the_run_or_else_from_the_trainer(play, settings, spec, gpus):
    container = job_of(play, settings, spec)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus


def claims(play, settings, **places):
    datasources = {
        purpose: {"type": "LOCAL", "resourcePath": path,
                  "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}
        for purpose, (claim, path, read_only) in places.items()
    }  # fmt: skip
    spec = job_of(play, settings, {"datasources": datasources})["spec"]["template"]["spec"]
    volumes = [
        each["persistentVolumeClaim"]["claimName"] for each in spec["volumes"] if "persistentVolumeClaim" in each
    ]
    mounts = [
        (each["mountPath"], each["readOnly"])
        for each in spec["containers"][0]["volumeMounts"]
        if each["name"].startswith("claim")
    ]
    return volumes, mounts


def test_a_claim_used_twice_is_mounted_once(play, settings):
    seen = claims(play, settings, input=("data", "/data/input", True), lightly=("data", "/data", False))
    assert seen == (["data"], [("/data", False)])


def test_one_claim_in_two_folders_is_one_volume_with_two_mounts(play, settings):
    seen = claims(play, settings, input=("data", "/in", True), lightly=("data", "/out", False))
    assert seen == (["data"], [("/in", True), ("/out", False)])


def test_two_claims_are_two_volumes(play, settings):
    seen = claims(play, settings, input=("photos", "/in", True), lightly=("results", "/out", False))
    assert seen == (["photos", "results"], [("/in", True), ("/out", False)])


def test_the_same_run_gives_the_same_bytes(play, settings):
    reordered = play.raw_run()
    reordered["spec"] = dict(reversed(reordered["spec"].items()))
    again = make_job(make_plan(view_run(reordered).document, settings), settings)
    assert json.dumps(again) == json.dumps(job_of(play, settings))


def test_who_suspended_a_job_is_noted_on_it_and_taken_back(play):
    job = play.job()
    suspend, resume = set_job_suspended(job, suspended=True), set_job_suspended(job, suspended=False)
    note = "dataselection.io/suspended-by"
    assert suspend.body["metadata"] == {"uid": play.JOB_UID, "annotations": {note: "selection-operator"}}
    assert (suspend.body["spec"], resume.body["spec"]) == ({"suspend": True}, {"suspend": False})
    assert resume.body["metadata"]["annotations"] == {note: None}
    assert (suspend.namespace, suspend.name) == ("team", "dashcam-1f2e3d4c")


def test_a_workload_is_deactivated_and_activated_by_a_note(play):
    workload = WorkloadView("team", "w", True, False, "")
    stop, go_on = set_workload_active(workload, active=False), set_workload_active(workload, active=True)
    assert (stop.resource, stop.namespace, stop.name) == (WORKLOADS, "team", "w")
    assert (stop.body["spec"], go_on.body["spec"]) == ({"active": False}, {"active": True})
    assert go_on.body["metadata"]["annotations"] == {"dataselection.io/suspended-by": None}
