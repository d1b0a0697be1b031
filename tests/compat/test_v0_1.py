"""What 0.1 wrote is read by this version: stages, pools, outputs, custom resources, the chart's values.

v0_1/ was made on 0.1's checkout by make_v0_1.py, whose docstring says what lies there, and is never made again. A test
copies what it goes on from into a folder of its own. Numbers that are computed anew may differ in the last digits.
"""

import csv
import json
import lzma
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import jsonschema
import pytest
import torch
import yaml
from testbed import binaries

from selection_api import check_supported, parse_manifest
from selection_api.status import Status
from selection_job.process.progress import Progress
from selection_job.report.report_json import read_schema
from selection_job.running import run_manifest
from selection_operator.kind import Delete
from selection_operator.runs.observation import Observed
from selection_operator.runs.reconcile import decide
from selection_operator.settings import Settings
from selection_operator.views.jobs import view_job
from selection_operator.views.pods import view_pod
from selection_operator.views.resources import RUNS
from selection_operator.views.runs import view_run

KEPT = Path(__file__).parent / "v0_1"
CHART = Path(__file__).parents[2] / "helm/selection-operator"
CHANGED_AT = 1_760_000_000
UID = "0badcafe-0001-4000-8000-000000000001"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings(job_image="example.org/selection-job:0.1.0")
STATES = sorted(path.stem for path in (KEPT / "runs").iterdir())
OVER = {"complete", "failed", "out-of-memory", "deadline"}


class WatchedProgress(Progress):
    """Shows nothing and remembers which steps there were."""

    def __init__(self):
        super().__init__(quiet=True)
        self.steps = []

    def bar(self, description, *arguments, **options):
        self.steps.append(description)
        return super().bar(description, *arguments, **options)


@pytest.fixture
def take(tmp_path):
    """Return a function that copies a fixture into a folder of the test, as it lay in 0.1's datasources."""

    def copy(name):
        folder = tmp_path / name
        shutil.copytree(KEPT / name, folder)
        (folder / "lightly").mkdir(exist_ok=True)
        for path in folder.rglob("*.xz"):
            path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
            path.unlink()
        for path in folder.rglob("*"):
            os.utime(path, (CHANGED_AT, CHANGED_AT))
        return folder

    return copy


@pytest.fixture
def go_on():
    """Return a function that runs a fixture's manifest; it gives the run's folder and the steps that there were."""
    n_threads = torch.get_num_threads()

    def run(folder, name, uid=UID, **worker):
        datasources = {key: {"type": "LOCAL", "resourcePath": str(folder / key)} for key in ("input", "lightly")}
        spec = {"datasources": datasources, **json.loads((folder / "spec.json").read_bytes())}
        spec["workerConfig"] |= worker
        head = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun"}
        metadata = {"name": name, "namespace": "team", "uid": uid}
        progress = WatchedProgress()
        parsed = check_supported(parse_manifest({**head, "metadata": metadata, "spec": spec}))
        assert run_manifest(parsed, progress, Mock()) == 0
        return folder / f"lightly/.lightly/runs/{name}-{uid[:8]}", progress.steps

    yield run
    torch.set_num_threads(n_threads)


def read(path, like=None):
    """Return a file's lines, cells or values, with numbers as such; of a table the columns that another one has."""
    if like is not None and path.suffix == ".csv":
        columns = next(csv.reader(like.read_text(encoding="utf-8").splitlines()))
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return [*columns, *(number(row[column]) for row in rows for column in columns)]
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return flatten(json.loads(text))
    return [number(cell) for row in csv.reader(text.splitlines()) for cell in (row if path.suffix == ".csv" else [row])]


def flatten(value, path=""):
    """Return paths and leaves of a JSON value, in order."""
    if not isinstance(value, dict | list):
        return [path, value]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for key, inner in items for leaf in flatten(inner, f"{path}/{key}")]


def number(cell):
    try:
        return float(cell)
    except (TypeError, ValueError):
        return cell


def assert_as_published(folder, published):
    """The run's tables and lists are those that 0.1 published; numbers to five digits."""
    expected = sorted(path.relative_to(published) for path in published.rglob("*.*"))
    assert len(expected) >= 10
    for name in expected:
        found, wanted = read(folder / name, like=published / name), read(published / name)
        assert len(found) == len(wanted), name
        for own, other in zip(found, wanted, strict=True):
            if isinstance(other, float):
                assert own == pytest.approx(other, rel=1e-5, abs=1e-5), name
            else:
                assert own == other, name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("stopped", {"Checking images", "Detecting objects", "Reading and embedding"}),
        ("videos", {"Writing selected frames"}),
    ],
    ids=["images", "videos"],
)
def test_a_run_that_0_1_began_goes_on_from_its_stages(take, go_on, name, steps):
    """Images are looked at once more, because 0.1 did not turn them and took damaged ones; what was trained stays."""
    folder = take(name)
    stages = list((folder / f"lightly/.lightly/runs/{name}-0badcafe/.stages").iterdir())
    assert {path.name.partition("-")[0] for path in stages} >= {"training", "embedding"}
    run_folder, taken = go_on(folder, name)
    assert set(taken) == {"Publishing results", *steps}, "nothing is trained again, and no video is embedded again"
    assert_as_published(run_folder, KEPT / name / "published")
    trained = next(path for path in stages if path.name.startswith("training")).name
    for checkpoint in ("last.ckpt", "lightly_epoch_0.ckpt"):
        kept = KEPT / name / f"lightly/.lightly/runs/{name}-0badcafe/.stages" / trained / checkpoint
        assert (run_folder / checkpoint).read_bytes() == kept.read_bytes()
    assert not (run_folder / ".stages").exists()


@pytest.mark.slow
def test_a_run_builds_on_the_pool_that_runs_of_0_1_left(take, go_on):
    folder = take("pool")
    parts = folder / "lightly/.lightly/datapool/cameras"
    before = {path.name: path.read_bytes() for path in parts.iterdir()}
    run_folder, _ = go_on(folder, "wednesday", uid=f"2{UID[1:]}")
    assert_as_published(run_folder, KEPT / "pool/published")
    after = {path.name: path.read_bytes() for path in parts.iterdir()}
    assert set(after) - set(before) == {"wednesday-2badcafe.npz"}
    assert {name: after[name] for name in before} == before


def test_a_run_that_0_1_finished_is_known_to_be_finished(take, go_on):
    folder = take("finished")
    before = {path: path.read_bytes() for path in (folder / "lightly").rglob("*") if path.is_file()}
    run_folder, steps = go_on(folder, "finished")
    assert (run_folder / "report.json") in before
    assert steps == []
    assert {path: path.read_bytes() for path in (folder / "lightly").rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_outputs_of_0_1_are_inputs_of_a_later_run(take, go_on):
    folder = take("finished")
    table = ".lightly/runs/finished-0badcafe/data/embeddings.csv"
    run_folder, _ = go_on(folder, "again", embeddings=table, checkpoint="", method="coreset")
    assert read(run_folder / "data/embeddings.csv") == read(folder / "lightly" / table)


def test_the_report_of_0_1_is_valid_by_this_version_s_schema():
    report = json.loads((KEPT / "finished/lightly/.lightly/runs/finished-0badcafe/report.json").read_bytes())
    assert report["schemaVersion"].startswith("1.")
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []


def load_run(state):
    """Return the run of a state, its Job or None, and its pods, as the API server holds them."""
    documents = list(yaml.safe_load_all((KEPT / f"runs/{state}.yaml").read_text()))
    of = {kind: [each for each in documents if each["kind"] == kind] for kind in ("SelectionRun", "Job", "Pod")}
    return of["SelectionRun"][0], (of["Job"] or [None])[0], of["Pod"]


def observe(job, pods):
    return Observed(now=NOW, job=view_job(job) if job else None, pods=[view_pod(pod) for pod in pods])


@pytest.mark.parametrize("state", STATES)
def test_a_custom_resource_of_0_1_is_read_in_full(state):
    run, _, _ = load_run(state)
    if state != "invalid":
        parse_manifest({key: value for key, value in run.items() if key != "status"})
    status = Status.model_validate(run["status"], by_alias=True, by_name=False)
    assert status.model_dump(mode="json", by_alias=True, exclude_none=True) == run["status"]


@pytest.mark.parametrize("state", STATES)
def test_the_operator_leaves_a_status_of_0_1_as_it_is(state):
    run, job, pods = load_run(state)
    assert decide(view_run(run), observe(job, pods), SETTINGS).status is None


@pytest.mark.parametrize("state", sorted(OVER))
def test_a_run_that_was_over_under_0_1_stays_over(state):
    run, _, _ = load_run(state)
    running = {"metadata": {**load_run("running")[1]["metadata"]}, "spec": {"activeDeadlineSeconds": 1}, "status": {}}
    for job in (None, running):
        decision = decide(view_run(run), observe(job, []), SETTINGS)
        assert (decision.status, decision.actions) == (None, ())
    if "ttlSecondsAfterFinished" in run["spec"]:
        late = Observed(now=NOW.replace(day=3), job=None, pods=[])
        assert decide(view_run(run), late, SETTINGS).actions == (Delete(RUNS, view_run(run)),)


def test_states_of_0_1_are_all_there():
    phases = {load_run(state)[0]["status"].get("phase") for state in STATES}
    assert phases == {"Pending", "Queued", "Suspended", "Running", "Complete", "Failed", "Invalid"}


def read_values():
    return yaml.safe_load((KEPT / "chart/values.yaml").read_text())


def test_every_value_of_0_1_s_chart_is_known():
    schema = json.loads((CHART / "values.schema.json").read_bytes())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(read_values())) == []


@pytest.mark.servers
def test_the_chart_renders_with_the_values_of_0_1():
    command = [str(binaries.find("helm", "helm")), "template", "release", str(CHART), "--namespace", "installed"]
    options = ["--kube-version", "1.31.0", "--values", str(KEPT / "chart/values.yaml")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    names = {f"{each['kind']} {each['metadata']['name']}" for each in objects}
    assert names >= set((KEPT / "chart/objects.txt").read_text().splitlines())
