"""What a user sees and types: kubectl explain, get, wait, describe, apply; and YAML as the API server reads it."""

import json
import re
import shlex
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from testbed.control_plane import CRD
from testbed.fixtures import make_namespace
from testbed.lanes import Lane, complete_summary, conditions_of, make_run
from testbed.merging import merge
from testbed.operator_process import OperatorProcess
from testbed.rest import path_of, rest_of
from testbed.waiting import wait_until

from selection_job.manifest.kubernetes_yaml import YamlError, load_documents

SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.fixture
def kubectl(operator, shared, control_plane):
    """kubectl in a namespace that the operator watches."""
    lane = shared["kubectl"]

    def run(*args, **options):
        return control_plane.kubectl("-n", lane.namespace, *args, **options)

    run.lane = lane
    return run


def fields(schema, path="selectionrun"):
    for name, field in schema.get("properties", {}).items():
        if path == "selectionrun" and name in ("apiVersion", "kind", "metadata"):
            continue
        yield f"{path}.{name}", field["description"]
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}")


def squeeze(text):
    return "".join(text.split())


def test_explain_knows_every_field(control_plane):
    wanted = dict(fields(SCHEMA))
    assert len(wanted) > 200
    listed = squeeze(control_plane.kubectl("explain", "selectionrun", "--recursive").stdout)
    assert [path for path in wanted if squeeze(path.rpartition(".")[2]) not in listed] == []

    def unexplained(path):
        done = control_plane.kubectl("explain", path, check=False)
        return None if squeeze(wanted[path]) in squeeze(done.stdout) else f"{path}: {done.stdout}{done.stderr}"

    # kubectl prints a field's children with their descriptions: asking for the parents is asking for all.
    parents = sorted({path.rpartition(".")[0] for path in wanted})
    with ThreadPoolExecutor(4) as threads:
        pages = dict(
            zip(parents, threads.map(lambda p: control_plane.kubectl("explain", p).stdout, parents), strict=True)
        )
    missing = [path for path in wanted if squeeze(wanted[path]) not in squeeze(pages[path.rpartition(".")[0]])]
    assert [trouble for path in missing if (trouble := unexplained(path))] == []


def columns(kubectl, run, *options):
    lines = kubectl("get", "selrun", run["metadata"]["name"], *options).stdout.splitlines()
    starts = [title.start() for title in re.finditer(r"\S+", lines[0])]
    cells = [lines[1][a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
    return dict(zip(lines[0].split(), cells, strict=True))


def test_get_shows_phase_stage_percent_selected_and_age(kubectl):
    from testbed.played_pods import ProgressPage

    lane = kubectl.lane
    with ProgressPage() as page:
        page.value = {"stage": "EMBEDDING", "done": 1, "total": 4, "counts": {"input": 4, "selected": 0}}
        run, pod = lane.start(address=page.address)
        lane.wait_for(run, holds=lambda run: run["status"].get("progress"))
        shown = columns(kubectl, run)
        assert list(shown) == ["NAME", "PHASE", "STAGE", "PERCENT", "SELECTED", "AGE"]
        assert [shown[key] for key in ("PHASE", "STAGE", "PERCENT")] == ["Running", "EMBEDDING", "25"]
        assert columns(kubectl, run, "-o", "wide")["REASON"] == "Running"
    lane.finish(run, pod)
    shown = columns(kubectl, run, "-o", "wide")
    assert [shown[key] for key in ("PHASE", "STAGE", "SELECTED", "REASON")] == [
        "Complete",
        "COMPLETED",
        "500",
        "Complete",
    ]


@pytest.mark.parametrize("condition", ["Complete", "Ready"])
def test_wait_ends_with_the_run(kubectl, condition):
    run, pod = kubectl.lane.start()
    name = run["metadata"]["name"]
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(
            kubectl, "wait", f"selectionrun/{name}", f"--for=condition={condition}", "--timeout=60s"
        )
        kubectl.lane.pods.end(pod, 0, complete_summary(run))
        assert "condition met" in waiting.result().stdout


@pytest.mark.parametrize(
    ("end", "is_success"), [("complete", True), ("failed", False), ("invalid", False), ("suspended", False)]
)
def test_the_documented_script_ends_with_the_run_and_says_how(kubectl, end, is_success):
    """Its lines are those of docs/install.md, with kubectl's own words for them."""
    text = (Path(__file__).parents[2] / "docs/install.md").read_text(encoding="utf-8")
    [script] = [block for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if "Reconciling" in block]
    wait, look = (shlex.split(line) for line in script.replace("$(", "").replace(')"', '"').splitlines())
    run = kubectl.lane.create({"invalid": {"workerConfig": {"no": 1}}, "suspended": {"suspend": True}}.get(end, {}))
    name = run["metadata"]["name"]
    with ThreadPoolExecutor(1) as thread:
        options = [word.replace("my-run", name).replace("=2h", "=60s") for word in wait[3:]]
        waiting = thread.submit(kubectl, *options)
        if end in ("complete", "failed"):
            pod = kubectl.lane.pod_of(run)
            kubectl.lane.pods.run(pod)
            kubectl.lane.pods.end(pod, *((0, complete_summary(run)) if is_success else (3, "")))
        assert "condition met" in waiting.result().stdout
    assert look[0] == "test"
    asked = look[1].replace("my-run", name).replace("'", "").split()[3:]
    shown = kubectl(*asked).stdout
    assert (shown == look[3]) == is_success
    assert shown == end.capitalize()


def test_wait_for_failure_and_for_the_jobs_name(kubectl):
    run = kubectl.lane.create()
    name = run["metadata"]["name"]
    kubectl("wait", f"selectionrun/{name}", "--for=jsonpath={.status.job.name}", "--timeout=20s")
    kubectl.lane.fail_pod(run, exit_code=3)
    kubectl("wait", f"selectionrun/{name}", "--for=condition=Failed", "--timeout=20s")


def test_describe_shows_the_events(kubectl):
    run, pod = kubectl.lane.start()
    kubectl.lane.finish(run, pod)
    kubectl.lane.wait_for_event(run, "Complete")
    text = kubectl("describe", "selectionrun", run["metadata"]["name"]).stdout
    events = text[text.index("Events:") :]
    assert "selection-operator" in events
    assert [word for word in ("Pending", "Running", "Complete") if word not in events] == []


def test_everything_of_the_project_is_found_by_short_name_and_category(kubectl):
    run = kubectl.lane.create()
    assert run["metadata"]["name"] in kubectl("get", "selectionruns", "-o", "name").stdout


def test_a_manifest_may_be_applied_again_and_again(kubectl):
    manifest = json.dumps(make_run("again-and-again"))
    assert "created" in kubectl("apply", "-f", "-", input=manifest).stdout
    kubectl.lane.job_of(json.loads(kubectl("get", "selrun", "again-and-again", "-o", "json").stdout))
    assert "unchanged" in kubectl("apply", "-f", "-", input=manifest).stdout
    assert kubectl("diff", "-f", "-", input=manifest).stdout == ""


# -- wrong manifests ----------------------------------------------------------------------------------------------

FIELDS = {"strict": (), "lenient": ("--validate=false",), "server side": ("--server-side", "--field-manager=test")}

WRONG = {
    "typo in workerConfig": ({"workerConfig": {"enable_trainning": True}}, "Did you mean 'enable_training'?"),
    "typo in lightlyConfig": ({"lightlyConfig": {"trainer": {"max_epoch": 3}}}, "Did you mean 'max_epochs'?"),
    "typo in spec": ({"workerconfig": {}}, "Did you mean 'workerConfig'?"),
    "typo in a datasource": ({"datasources": {"input": {"resourcepath": "/x/"}}}, "Did you mean 'resourcePath'?"),
    "typo in podTemplate": ({"podTemplate": {"nodeselector": {}}}, "Did you mean 'nodeSelector'?"),
    "camelCase in a config": ({"workerConfig": {"stoppingCondition": {}}}, "Did you mean 'stopping_condition'?"),
    "a share of 1.0": ({"workerConfig": {"stopping_condition": {"n_samples": 1.0}}}, "exactly 1 is ambiguous"),
    "a share of 0": ({"workerConfig": {"stopping_condition": {"n_samples": 0}}}, "n_samples"),
    "no datasources": ({"datasources": None}, "spec.datasources"),
    "no lightly": ({"datasources": {"lightly": None}}, "spec.datasources.lightly"),
    "unknown type of datasource": ({"datasources": {"input": {"type": "FTP"}}}, "supported values"),
    "S3 without region": (
        {"datasources": {"input": {"type": "S3", "resourcePath": "s3://b/", "persistentVolumeClaim": None}}},
        "type S3 needs region and resourcePath",
    ),
    "a claim on S3": (
        {"datasources": {"input": {"type": "S3", "resourcePath": "s3://b/", "region": "eu-west-1"}}},
        "type S3 has no",
    ),
    "selection told twice": (
        {"selectionConfig": {"n_samples": 5, "strategies": [
            {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]}},
        "selectionConfig excludes workerConfig's method",
    ),
    "a number in quotes": ({"lightlyConfig": {"loader": {"batch_size": "16"}}}, "batch_size"),
    "a negative limit": ({"backoffLimit": -1}, "spec.backoffLimit"),
    "a deadline of 0": ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
    "suspend as a word": ({"suspend": "no"}, "spec.suspend"),
    "an unknown dataset type": ({"dataset": {"type": "AUDIO"}}, "AUDIO"),
    "a field of the pod": ({"podTemplate": {"hostNetwork": True}}, "hostNetwork"),
    "a system folder": ({"datasources": {"input": {"resourcePath": "/etc/"}}}, "system folder"),
    "a relative folder": ({"datasources": {"input": {"resourcePath": "images/"}}}, "type LOCAL starts with /"),
    "a limit that is no quantity": ({"resources": {"limits": {"memory": "lots"}}}, "memory"),
    "no stopping condition": ({"workerConfig": {"stopping_condition": None}}, "stopping_condition"),
}  # fmt: skip


@pytest.fixture(scope="module")
def refusals(operator, shared, control_plane):
    """{(case, way): what the user is told}: by kubectl at once, or by the status right after."""
    lane = shared["kubectl"]

    def apply(case_and_way):
        (number, (changes, _)), way = case_and_way
        name = f"wrong-{number}-{way.replace(' ', '-')}"
        manifest = make_run(name, changes)
        options = [*FIELDS[way], "-f", "-"]
        done = control_plane.kubectl("-n", lane.namespace, "apply", *options, input=json.dumps(manifest), check=False)
        if done.returncode:
            return f"kubectl: {done.stderr}"
        run = lane.rest.get("selectionruns", lane.namespace, name)
        seen = lane.wait_for(run, phase="Invalid")
        return f"status: {conditions_of(seen)['Accepted']['message']}"

    cases = [(entry, way) for entry in enumerate(WRONG.values()) for way in FIELDS]
    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(lambda case: _told(apply, case), cases))
    names = [(name, way) for name in WRONG for way in FIELDS]
    return dict(zip(names, told, strict=True))


def _told(apply, case):
    try:
        return apply(case)
    except AssertionError as error:
        return f"nothing: {error}"


@pytest.mark.parametrize("way", FIELDS)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_manifest_gives_its_message_whatever_the_client(refusals, name, way):
    assert WRONG[name][1] in refusals[name, way]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (merge(make_run("top"), {"specs": {}}), 'unknown field "specs"'),
        (merge(make_run("meta"), {"metadata": {"lables": {}}}), 'unknown field "metadata.lables"'),
        (merge(make_run("version"), {"apiVersion": "dataselection.io/v1"}), "no matches for kind"),
        (merge(make_run("kind"), {"kind": "SelectionRuns"}), "no matches for kind"),
        (merge(make_run("none"), {"spec": None}), "spec: Required value"),
        (merge(make_run("x"), {"metadata": {"name": "Under_Score"}}), "RFC 1123"),
        (merge(make_run("x"), {"metadata": {"name": "a.b"}}), "at most 54 characters without '.'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_outside_spec_is_told_by_kubectl(kubectl, document, message):
    done = kubectl("apply", "-f", "-", input=json.dumps(document), check=False)
    assert done.returncode
    assert message in done.stderr


# -- YAML ---------------------------------------------------------------------------------------------------------


def _table(name):
    """Return a table of tests/api/test_kubernetes_yaml.py: documents and what they mean."""
    from importlib import util
    from pathlib import Path

    path = Path(__file__).parents[1] / "api" / "test_kubernetes_yaml.py"
    spec = util.spec_from_file_location("kubernetes_yaml_tables", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


SCALARS, SAME, REFUSED = (_table(name) for name in ("SCALARS", "SAME", "REFUSED"))
INNER = {f"a: {text}": {"a": value} for text, value in SCALARS.items()}
# Marks of documents can't stand inside one.
INNER |= {text: value for text, value in SAME.items() if not text.startswith(("%", "---"))}


def as_run(number, text):
    """A run that carries a document in a field that keeps everything."""
    head = f"""\
        apiVersion: dataselection.io/v1alpha1
        kind: SelectionRun
        metadata: {{name: yaml-{number}}}
        spec:
          datasources:
            input: {{type: LOCAL, resourcePath: /data/}}
            lightly: {{type: LOCAL, resourcePath: /data/}}
          document:
        """
    return textwrap.dedent(head) + textwrap.indent(text if text.endswith("\n") else f"{text}\n", "    ")


def check_read_alike(read):
    """read(number, text) is the document as the API server has it; ours and the table's are the same."""
    wrong = {}
    for number, (text, value) in enumerate(INNER.items()):
        ours = load_documents(as_run(number, text))[0]["spec"]["document"]
        theirs = read(number)
        if not _same(theirs, value) or not _same(ours, value):
            wrong[text] = (theirs, ours, value)
    assert wrong == {}


def _same(one, other):
    """Equal, and of the same types; a null in an object may be left out."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(other, float) and abs(other) >= 2**63:
        return float(one) == other  # JSON prints such a float without a point
    return one == other and type(one) is type(other)


def test_kubectl_and_the_api_server_read_yaml_as_selection_job_does(control_plane, namespace):
    many = "---\n".join(as_run(number, text) for number, text in enumerate(INNER))
    options = ["create", "--dry-run=server", "--validate=false", "-o", "json", "-f", "-"]
    done = control_plane.kubectl("-n", namespace, *options, input=many)
    decoder, position, found = json.JSONDecoder(), 0, []
    while position < len(done.stdout):
        document, position = decoder.raw_decode(done.stdout, position)
        found += document.get("items", [document])
        position += len(done.stdout[position:]) - len(done.stdout[position:].lstrip())
    by_name = {one["metadata"]["name"]: one["spec"]["document"] for one in found}
    check_read_alike(lambda number: by_name[f"yaml-{number}"])


@pytest.mark.parametrize("plane", ["control_plane", "oldest_control_plane"])
def test_the_api_server_itself_reads_yaml_as_selection_job_does(request, plane):
    rest = rest_of(request.getfixturevalue(plane))
    path = path_of("selectionruns", "default")

    def read(number):
        body = as_run(number, texts[number]).encode()
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        return rest.request("POST", path, body, "application/yaml", **query)["spec"]["document"]

    texts = list(INNER)
    check_read_alike(read)


REFUSED_INNER = [text for text in REFUSED if not text.startswith("%")]


def test_what_selection_job_refuses_the_api_server_refuses(control_plane):
    rest, query = rest_of(control_plane), {"dryRun": "All", "fieldValidation": "Strict"}
    taken = {}
    for text in REFUSED_INNER:
        with pytest.raises(YamlError):
            load_documents(as_run(0, text))
        body = as_run(0, text).encode()
        status, answer = rest.send("POST", path_of("selectionruns", "default"), body, "application/yaml", **query)
        if status < 400:
            taken[text] = answer["spec"]["document"]
    assert taken == {}


def test_what_selection_job_refuses_kubectl_refuses_but_for_keys_set_twice(control_plane):
    """kubectl keeps the last of two equal keys before it sends anything; selection-job is not that forgiving."""

    def is_refused(text):
        command = ["create", "--dry-run=server", "-f", "-"]
        return control_plane.kubectl(*command, input=as_run(0, text), check=False).returncode != 0

    with ThreadPoolExecutor(4) as threads:
        refused = dict(zip(REFUSED_INNER, threads.map(is_refused, REFUSED_INNER), strict=True))
    twice = {text for text in REFUSED_INNER if "already set" in REFUSED[text] or "overwrite the key" in REFUSED[text]}
    assert {text for text, is_so in refused.items() if not is_so} <= twice


# -- the oldest API server, and the whole cluster --------------------------------------------------------------------


@pytest.fixture(scope="module")
def oldest_lane(oldest_control_plane, tmp_path_factory):
    """An operator for the whole cluster on the oldest supported API server."""
    folder = tmp_path_factory.mktemp("oldest")
    running = OperatorProcess(folder, oldest_control_plane.kubeconfig, kueue_enabled="true")
    running.start()
    lane = Lane(oldest_control_plane, make_namespace(oldest_control_plane))
    yield lane
    lane.close()
    assert running.terminate() == 0, running.tail()


def test_on_the_oldest_api_server_a_run_comes_to_its_end(oldest_lane):
    run, pod = oldest_lane.start()
    assert oldest_lane.finish(run, pod)["status"]["counts"]["selected"] == 500
    oldest_lane.edit(run, {"ttlSecondsAfterFinished": 0})
    wait_until(lambda: oldest_lane.read(run) is None, 20, "the run is deleted")


def test_on_the_oldest_api_server_a_failure_and_a_wrong_manifest_are_told(oldest_lane):
    run = oldest_lane.create()
    oldest_lane.fail_pod(run, exit_code=3)
    oldest_lane.wait_for(run, "UnusableData", "Failed")
    oldest_lane.wait_for(oldest_lane.create({"workerConfig": {"no": 1}}), "InvalidSpec", "Invalid")


def test_on_the_oldest_api_server_a_run_is_suspended_and_resumed(oldest_lane):
    run, first = oldest_lane.start()
    oldest_lane.edit(run, {"suspend": True})
    oldest_lane.wait_for(run, "SuspendedByUser", "Suspended")
    wait_until(lambda: oldest_lane.has_no_pods(run), 30)
    oldest_lane.edit(run, {"suspend": False})
    pod = oldest_lane.pod_of(run, besides=[first], timeout=60)
    oldest_lane.pods.run(pod)
    oldest_lane.finish(run, pod)


def test_an_operator_for_the_whole_cluster_serves_every_namespace(oldest_lane, oldest_control_plane):
    other = Lane(oldest_control_plane, make_namespace(oldest_control_plane))
    run, pod = other.start()
    other.finish(run, pod)
    other.close()


def test_a_wrong_manifest_is_refused_by_the_oldest_api_server_too(oldest_control_plane):
    def told(name):
        changes, message = WRONG[name]
        done = oldest_control_plane.kubectl(
            "apply", "--dry-run=server", "-f", "-", input=json.dumps(make_run("wrong", changes)), check=False
        )
        return done.returncode == 0 or message in done.stderr

    assert [name for name in WRONG if not told(name)] == []
