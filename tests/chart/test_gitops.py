"""What Argo CD and Flux make of the statuses that the operator writes.

docs/argocd/ has the shape of Argo CD's resource_customizations. Its testdata are what decide() writes in each
situation: `python tests/chart/test_gitops.py` writes them anew, and a test compares.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml
from lupa.lua51 import LuaRuntime  # the version that Argo CD embeds

from selection_api import ExitCode, RunSummary, Stage
from selection_api.status import Counts, Progress
from selection_operator.runs.observation import Observed
from selection_operator.runs.reconcile import decide
from selection_operator.settings import Settings
from selection_operator.views.jobs import view_job
from selection_operator.views.pods import view_pod
from selection_operator.views.progress import LiveProgress
from selection_operator.views.runs import view_run

FOLDER = Path(__file__).parents[2] / "docs/argocd"
DOCUMENTATION = Path(__file__).parents[2] / "docs/gitops.md"
SETTINGS = Settings(job_image="registry.example.com/selection-job:0.1.0")
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
UID, JOB_UID = "1f2e3d4c-0000-4000-8000-000000000000", "5b6a7988-0000-4000-8000-000000000000"
CLAIM = {"claimName": "dashcam"}
SPEC = {
    "datasources": {
        "input": {"type": "LOCAL", "resourcePath": "/data/images/", "persistentVolumeClaim": CLAIM},
        "lightly": {"type": "LOCAL", "resourcePath": "/data/", "persistentVolumeClaim": CLAIM},
    },
    "workerConfig": {"enable_training": True, "stopping_condition": {"n_samples": 0.1}},
}
MISSPELT = {**SPEC, "workerConfig": {"enable_trainig": True, "stopping_condition": {"n_samples": 0.1}}}
NO_NODE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}


def ago(seconds):
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def raw_run(spec=SPEC, generation=1):
    metadata = {"name": "dashcam", "namespace": "team", "uid": UID, "generation": generation, "resourceVersion": "1"}
    metadata["creationTimestamp"] = ago(60)
    api = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun"}
    return {**api, "metadata": metadata, "spec": spec, "status": {"observedGeneration": -1}}


def a_job(condition=None, labels=MappingProxyType({}), **spec):
    conditions = [{"type": condition, "status": "True", "lastTransitionTime": ago(0)}] if condition else []
    metadata = {"name": "dashcam-1f2e3d4c", "namespace": "team", "uid": JOB_UID, "resourceVersion": "2"}
    metadata |= {"creationTimestamp": ago(50), "labels": {"dataselection.io/run": "dashcam", **labels}}
    return view_job({"metadata": metadata, "spec": {"backoffLimit": 3, **spec}, "status": {"conditions": conditions}})


def a_pod(name="first", phase="Pending", conditions=(), created=40, **state):
    metadata = {
        "name": name,
        "namespace": "team",
        "uid": name,
        "resourceVersion": "3",
        "creationTimestamp": ago(created),
    }
    containers = [{"name": "selection-job", "state": state}] if state else []
    status = {"phase": phase, "conditions": list(conditions), "containerStatuses": containers}
    return view_pod({"metadata": {**metadata, "labels": {"dataselection.io/run": "dashcam"}}, "status": status})


def an_ended_pod(code, message="", reason="Error", **word):
    summary = RunSummary(exit_code=code, message=message, **word).to_bytes().decode()
    state = {"exitCode": code, "reason": reason, "message": summary, "startedAt": ago(39), "finishedAt": ago(5)}
    return a_pod(phase="Failed" if code else "Succeeded", terminated=state)


def observed(job=None, *pods, **more):
    return Observed(now=NOW, job=job, pods=pods, **more)


def decided(spec, *moments):
    """The run after the operator has seen these moments one after the other."""
    raw = raw_run(spec)
    for moment in moments:
        raw["status"] = decide(view_run(raw), moment, SETTINGS).status or raw["status"]
    return raw


NEW = observed()
RUNNING = a_pod(phase="Running", running={"startedAt": ago(39)})
EMBEDDING = LiveProgress(Stage.EMBEDDING, Progress(done=1200, total=5000, percent=24), None)
COUNTS = Counts(input=5000, corrupt=3, duplicate=41, selected=500, removed=4456)
DONE = an_ended_pod(ExitCode.DONE, stage=Stage.COMPLETED, counts=COUNTS)
REFUSED = an_ended_pod(ExitCode.STORAGE_REFUSED, "No permission on the folder /data/. lightly needs LIST, READ, WRITE.")
KILLED = an_ended_pod(ExitCode.UNEXPECTED, reason="OOMKilled", stage=Stage.TRAINING)
SUSPENDED_BY_KUEUE = a_job(labels={"kueue.x-k8s.io/queue-name": "gpu"}, suspend=True)

RUNS = {
    "progressing_new": (raw_run, "InProgress"),
    "progressing_unschedulable": (
        lambda: decided(SPEC, NEW, observed(a_job(), a_pod(conditions=[NO_NODE]))),
        "InProgress",
    ),
    "progressing_running": (lambda: decided(SPEC, NEW, observed(a_job(), RUNNING, live=EMBEDDING)), "InProgress"),
    "progressing_retrying": (
        lambda: decided(SPEC, NEW, observed(a_job(), KILLED, a_pod("second", created=4))),
        "InProgress",
    ),
    "progressing_queued": (lambda: decided(SPEC, NEW, observed(SUSPENDED_BY_KUEUE)), "InProgress"),
    "progressing_fixed_spec": (lambda: {**decided(MISSPELT, NEW), **fixed()}, "InProgress"),
    "suspended_by_user": (lambda: decided({**SPEC, "suspend": True}, NEW), "InProgress"),
    "healthy_complete": (lambda: decided(SPEC, NEW, observed(a_job("Complete"), DONE)), "Current"),
    "degraded_invalid": (lambda: decided(MISSPELT, NEW), "Failed"),
    "degraded_failed": (lambda: decided(SPEC, NEW, observed(a_job("Failed"), REFUSED)), "Failed"),
}
"""The testdata by name: the run, and what kstatus has to say of it."""


def fixed():
    """A corrected spec that the operator has not looked at yet."""
    raw = raw_run(generation=2)
    return {"metadata": raw["metadata"], "spec": raw["spec"]}


def dump(name):
    run = RUNS[name][0]()
    run["metadata"] = {key: value for key, value in run["metadata"].items() if key != "resourceVersion"}
    return yaml.safe_dump(run, sort_keys=False, width=120, allow_unicode=True)


def kstatus(run):
    """The published algorithm of kstatus for kinds that it does not know, which is what Flux waits by."""
    metadata, status = run["metadata"], run.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    holds = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    for condition in status.get("conditions", []):
        if condition["status"] == "True" and condition["type"] in ("Reconciling", "Stalled"):
            return {"Reconciling": "InProgress", "Stalled": "Failed"}[condition["type"]]
    return {"True": "Current", "False": "InProgress", "Unknown": "InProgress"}.get(holds.get("Ready"), "Current")


def load(name):
    return yaml.safe_load((FOLDER / "testdata" / f"{name}.yaml").read_text(encoding="utf-8"))


def run_lua(run):
    """Argo CD's way: the script sees `obj` and returns a table."""
    lua = LuaRuntime()
    lua.globals().obj = lua.table_from(run, recursive=True)
    return dict(lua.execute((FOLDER / "health.lua").read_text(encoding="utf-8")))


def expectations():
    """health_test.yaml: by file, what Argo CD has to say."""
    tests = yaml.safe_load((FOLDER / "health_test.yaml").read_text(encoding="utf-8"))["tests"]
    return {Path(each["inputPath"]).stem: each["healthStatus"] for each in tests}


@pytest.mark.parametrize("name", RUNS)
def test_the_testdata_are_what_the_operator_writes(name):
    text = (FOLDER / "testdata" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text == dump(name), "run python tests/chart/test_gitops.py and look at what changed"


def test_the_testdata_hold_all_that_argo_cd_is_tested_with():
    assert {path.stem for path in (FOLDER / "testdata").iterdir()} == set(RUNS) == set(expectations())


@pytest.mark.parametrize("name", [name for name in RUNS if name != "progressing_new"])
def test_a_recorded_status_has_all_seven_conditions(name):
    kinds = [condition["type"] for condition in load(name)["status"]["conditions"]]
    assert kinds == ["Accepted", "Suspended", "Complete", "Failed", "Ready", "Reconciling", "Stalled"]


@pytest.mark.parametrize("name", RUNS)
def test_argo_cd_calls_a_run_what_the_documentation_says(name):
    assert run_lua(load(name)) == expectations()[name]


@pytest.mark.parametrize("name", RUNS)
def test_the_file_s_name_begins_with_argo_cd_s_word(name):
    assert expectations()[name]["status"].lower() == name.partition("_")[0]


@pytest.mark.parametrize(
    "name", [name for name in RUNS if name not in ("progressing_new", "suspended_by_user", "healthy_complete")]
)
def test_argo_cd_and_flux_agree_on_whether_a_run_goes_on(name):
    agreement = {"Progressing": "InProgress", "Degraded": "Failed"}
    assert agreement[expectations()[name]["status"]] == kstatus(load(name))


@pytest.mark.parametrize("name", RUNS)
def test_flux_calls_a_run_what_the_documentation_says(name):
    assert kstatus(load(name)) == RUNS[name][1]


def test_a_run_without_status_would_be_called_done_by_flux():
    """Why the CRD gives status a default."""
    assert kstatus({**load("progressing_new"), "status": {}}) == "Current"
    assert kstatus(load("progressing_new")) == "InProgress"


@pytest.mark.parametrize("absent", ["status", "conditions", "message"])
def test_the_health_check_bears_what_is_not_there(absent):
    run = load("healthy_complete")
    if absent == "status":
        del run["status"]
    elif absent == "conditions":
        del run["status"]["conditions"]
    else:
        for condition in run["status"]["conditions"]:
            del condition["message"]
    assert run_lua(run)["status"] == ("Healthy" if absent == "message" else "Progressing")


def test_the_documentation_shows_the_health_check_as_it_is():
    lines = (FOLDER / "health.lua").read_text(encoding="utf-8").splitlines()
    shown = [line.strip() for line in DOCUMENTATION.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.strip() not in shown] == []


if __name__ == "__main__":
    for each in RUNS:
        (FOLDER / "testdata" / f"{each}.yaml").write_text(dump(each), encoding="utf-8")
