"""helm install, upgrade and uninstall on real control planes: helm 3 and 4, the oldest and the newest Kubernetes."""

import json
import shutil
import subprocess
import sys

import pytest
from testbed.fixtures import make_namespace
from testbed.operator_process import OperatorProcess
from testbed.waiting import wait_until

from selection_operator.runs.job_manifest import make_job
from selection_operator.runs.plan import make_plan
from selection_operator.settings import Settings

PLURAL = "selectionruns"
CRD = f"{PLURAL}.dataselection.io"
ADOPT = "--take-ownership"  # the test cluster has the CRD already, applied by kubectl
NO_CRD = ("--set", "crds.enabled=false")
CLAIM = {"claimName": "dashcam"}
RUN = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "dashcam"},
    "spec": {
        "datasources": {
            "input": {"type": "LOCAL", "resourcePath": "/data/images/", "persistentVolumeClaim": CLAIM},
            "lightly": {"type": "LOCAL", "resourcePath": "/data/", "persistentVolumeClaim": CLAIM},
        },
        "workerConfig": {"enable_training": True, "stopping_condition": {"n_samples": 0.1}},
    },
}
KINDS = "deployment,service,serviceaccount,role,rolebinding,networkpolicy,poddisruptionbudget,pod,secret"


def submit(plane, namespace):
    """Submit a run and make its Job as the operator does, its pod running; return their names."""
    plane.apply(RUN, namespace=namespace)
    run = plane.get("-n", namespace, "selectionrun/dashcam")
    job = make_job(make_plan(run, Settings(job_image="previous")), Settings(job_image="previous"))
    plane.apply(job, namespace=namespace)
    name = job["metadata"]["name"]
    pods = wait_until(lambda: plane.get("-n", namespace, "pods", "-l", f"job-name={name}")["items"], 30, "its pod")
    return f"job/{name}", f"pod/{pods[0]['metadata']['name']}"


def identity(plane, namespace, *names):
    """What changes when an object is written: generations, and the spec itself."""
    found = [plane.get("-n", namespace, name) for name in names]
    return [(o["metadata"]["uid"], o["metadata"].get("generation"), json.dumps(o["spec"])) for o in found]


def environment_of(plane, namespace):
    [deployment] = plane.get("-n", namespace, "deployments")["items"]
    return {each["name"]: each["value"] for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def events_of(plane, namespace):
    return [event["message"] for event in plane.get("-n", namespace, "events")["items"]]


@pytest.fixture
def previous_chart(chart, tmp_path):
    """The chart as an earlier version may have been: other labels, other settings."""
    folder = tmp_path / "previous"
    shutil.copytree(chart, folder)
    replacements = {
        "Chart.yaml": ("ersion: 0.1.0", "ersion: 0.0.9"),
        "templates/_helpers.tpl": (
            "app.kubernetes.io/version:",
            "example.com/earlier: 'yes'\napp.kubernetes.io/version:",
        ),
        "templates/deployment.yaml": ("SELECTION_GPU_RESOURCE", "SELECTION_EARLIER"),
    }
    for file, (old, new) in replacements.items():
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    return folder


def test_a_fresh_cluster_from_install_to_uninstall_and_back(helm, fresh_plane, chart, unique):
    """The CRD and the runs stay; the same release can be installed again without a flag."""
    on = helm.at(fresh_plane)
    said = on("install", unique, chart, "--namespace", unique, "--create-namespace").stdout
    assert f"kubectl -n {unique} rollout status deployment/{unique}-selection-operator" in said
    assert "serves SelectionRuns in every namespace" in said
    wait_until(lambda: fresh_plane.kubectl("get", PLURAL, check=False).returncode == 0, 30, "runs are served")
    fresh_plane.apply(RUN, namespace=unique)
    said = on("uninstall", unique, "--namespace", unique)
    assert CRD in said.stdout + said.stderr
    left = fresh_plane.get("-n", unique, KINDS, "-l", f"app.kubernetes.io/instance={unique}")["items"]
    assert [each["metadata"]["name"] for each in left if "deletionTimestamp" not in each["metadata"]] == []
    assert fresh_plane.get("-n", unique, "selectionrun/dashcam")["status"]["observedGeneration"] == -1
    roles = fresh_plane.get("clusterrole", "-l", f"app.kubernetes.io/instance={unique}")["items"]
    named = {role["metadata"]["name"].removeprefix(f"{unique}-selection-operator-") for role in roles}
    assert named == {"view", "edit", "admin"}
    on("install", unique, chart, "--namespace", unique)
    on("uninstall", unique, "--namespace", unique)
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


def test_without_keep_the_crd_goes_with_the_release(helm, fresh_plane, chart, unique):
    on = helm.at(fresh_plane)
    on("install", unique, chart, "-n", unique, "--create-namespace", "--set", "crds.keep=false")
    on("uninstall", unique, "-n", unique)
    wait_until(lambda: fresh_plane.kubectl("get", "crd", CRD, check=False).returncode, 30, "the CRD is gone")
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


def test_without_the_crd_the_notes_say_that_it_is_missing(helm, fresh_plane, chart, unique):
    on = helm.at(fresh_plane)
    said = on("install", unique, chart, "-n", unique, "--create-namespace", "--set", "crds.enabled=false").stdout
    assert "kubectl apply -f crds/selectionruns.dataselection.io.yaml" in said
    assert fresh_plane.kubectl("get", "crd", CRD, check=False).returncode
    on("uninstall", unique, "-n", unique)
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


def test_with_a_crd_of_somebody_else_s_the_chart_leaves_it_alone(helm, control_plane, chart, release):
    before = control_plane.get("crd", CRD)
    on = helm.at(control_plane)
    said = on("install", release, chart, "-n", release, "--set", "crds.enabled=false").stdout
    assert "is not in the cluster" not in said
    on("uninstall", release, "-n", release)
    assert control_plane.get("crd", CRD) == before


def test_a_crd_that_kubectl_applied_is_taken_over_only_when_told_to(helm, fresh_plane, chart, unique, root):
    fresh_plane.kubectl("apply", "-f", root / "crds/selectionruns.dataselection.io.yaml")
    on = helm.at(fresh_plane)
    install = ["install", unique, chart, "-n", unique, "--create-namespace"]
    refused = on(*install, check=False)
    assert "invalid ownership metadata" in refused.stderr
    on(*install, ADOPT)
    on("uninstall", unique, "-n", unique)
    assert fresh_plane.get("crd", CRD)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


def test_an_upgrade_leaves_running_jobs_untouched(helm, control_plane, chart, previous_chart, release):
    on = helm.at(control_plane)
    on("install", release, previous_chart, "-n", release, ADOPT)
    objects = submit(control_plane, release)
    before = identity(control_plane, release, *objects, "selectionrun/dashcam")
    assert environment_of(control_plane, release)["SELECTION_EARLIER"] == "nvidia.com/gpu"
    on("upgrade", release, chart, "-n", release, "--reset-then-reuse-values", "--set", "job.image.tag=next")
    assert "SELECTION_EARLIER" not in environment_of(control_plane, release)
    assert environment_of(control_plane, release)["SELECTION_JOB_IMAGE"].endswith(":next")
    assert identity(control_plane, release, *objects, "selectionrun/dashcam") == before
    on("uninstall", release, "-n", release)
    assert identity(control_plane, release, *objects, "selectionrun/dashcam") == before


def test_what_helm_3_installed_helm_4_upgrades(helm3, helm4, fresh_plane, chart, previous_chart, unique):
    helm3.at(fresh_plane)("install", unique, previous_chart, "-n", unique, "--create-namespace")
    helm4.at(fresh_plane)("upgrade", unique, chart, "-n", unique, "--set", "logLevel=DEBUG")
    assert environment_of(fresh_plane, unique)["SELECTION_LOG_LEVEL"] == "DEBUG"
    helm3.at(fresh_plane)("rollback", unique, "1", "-n", unique)
    assert environment_of(fresh_plane, unique)["SELECTION_EARLIER"] == "nvidia.com/gpu"
    helm4.at(fresh_plane)("uninstall", unique, "-n", unique)
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


def test_the_operator_s_pods_are_admitted_where_only_restricted_ones_are(helm4, control_plane, chart, release):
    for mode in ("enforce", "warn"):
        control_plane.kubectl("label", "namespace", release, f"pod-security.kubernetes.io/{mode}=restricted")
    done = helm4.at(control_plane)("install", release, chart, "-n", release, *NO_CRD)
    selector = f"app.kubernetes.io/instance={release}"
    pods = wait_until(
        lambda: control_plane.get("-n", release, "pods", "-l", selector)["items"], 30, "the operator has its pod"
    )
    assert pods[0]["metadata"]["labels"]["app.kubernetes.io/name"] == "selection-operator"
    assert "PodSecurity" not in done.stdout + done.stderr
    assert [said for said in events_of(control_plane, release) if "PodSecurity" in said] == []
    helm4.at(control_plane)("uninstall", release, "-n", release)


def test_the_pod_of_helm_test_is_admitted_where_only_restricted_ones_are(helm4, control_plane, release):
    control_plane.kubectl("label", "namespace", release, "pod-security.kubernetes.io/enforce=restricted")
    hooks = [d for d in helm4.render(name=release, namespace=release) if d["metadata"].get("annotations")]
    control_plane.apply(*(d for d in hooks if d["metadata"].get("namespace") == release))
    unsafe = control_plane.kubectl("-n", release, "run", "unsafe", "--image=x", check=False)
    assert "violates PodSecurity" in unsafe.stderr


@pytest.mark.parametrize("namespaces", [[], ["watched"]], ids=["cluster", "namespaces"])
def test_the_api_server_takes_every_option(helm4, control_plane, release, namespaces):
    """ServiceMonitors are left out: their CRD belongs to the Prometheus Operator."""
    watched = [make_namespace(control_plane, name) for name in namespaces]
    values = {
        "watchNamespaces": watched,
        "kueue": {"enabled": True},
        "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}]},
        "podDisruptionBudget": {"enabled": True, "maxUnavailable": 0},
        "job": {"resources": {"limits": {"cpu": 4}}, "imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
    }
    documents = helm4.render(values, name=release, namespace=release, options=["--no-hooks"])
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    options = ["--server-side", "--dry-run=server", "--force-conflicts", "--validate=strict"]
    said = control_plane.kubectl("apply", *options, "-f", "-", input=listed).stdout
    assert len(said.splitlines()) == len(documents)
    for name in watched:
        control_plane.kubectl("delete", "namespace", name, "--wait=false")


def test_a_second_release_can_serve_other_namespaces(helm4, fresh_plane, chart, unique):
    """One release brings the CRD, the others do without."""
    on = helm4.at(fresh_plane)
    first = ["--set", f"watchNamespaces={{{unique}}}", "--set", "rbac.aggregate=false"]
    on("install", "one", chart, "-n", unique, "--create-namespace", *first)
    on("install", "two", chart, "-n", unique, *NO_CRD, *first)
    assert len(fresh_plane.get("-n", unique, "deployments")["items"]) == 2
    on("uninstall", "one", "two", "-n", unique)
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


@pytest.fixture
def helm_test(helm4, control_plane, chart, release, tmp_path):
    """Run the program of `helm test` as its pod does: same environment, same rights, near the operator at a port."""

    def run(port):
        hooks = helm4.render({"listen": {"port": port}}, name=release, namespace=release)
        hooks = [hook for hook in hooks if hook["metadata"].get("annotations", {}).get("helm.sh/hook")]
        control_plane.apply(*(hook for hook in hooks if hook["kind"] != "Pod"))
        [pod] = [hook for hook in hooks if hook["kind"] == "Pod"]
        [container] = pod["spec"]["containers"]
        token = control_plane.kubectl("-n", release, "create", "token", pod["spec"]["serviceAccountName"]).stdout
        (tmp_path / "token").write_text(token.strip())
        shutil.copy(control_plane.ca_file, tmp_path / "ca.crt")
        [program] = container["args"]
        program = program.replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path))
        host, _, api_port = control_plane.server.removeprefix("https://").rpartition(":")
        environment = {each["name"]: each["value"] for each in container["env"]}
        environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": api_port}
        environment |= {"http_proxy": "http://nowhere.invalid:1", "https_proxy": "http://nowhere.invalid:1"}
        command = [sys.executable, *container["command"][1:], program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_helm_test_s_program_asks_the_operator_and_the_api_server(
    helm_test, helm4, control_plane, release, tmp_path, chart
):
    operator = OperatorProcess(tmp_path / "operator", control_plane.kubeconfig, [release]).start()
    nobody = helm_test(operator.port)
    assert "There is no operator: no pod of namespace" in nobody.stderr
    template = helm4.render(name=release, namespace=release, options=["--show-only", "templates/deployment.yaml"])[0]
    pod = {"apiVersion": "v1", "kind": "Pod", **template["spec"]["template"]}
    pod["metadata"] |= {"name": "operator"}
    pod["spec"]["serviceAccountName"] = "default"
    control_plane.apply(pod, namespace=release)
    address = json.dumps({"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}})
    control_plane.kubectl("-n", release, "patch", "pod/operator", "--subresource=status", "--type=merge", "-p", address)
    good = helm_test(operator.port)
    assert good.stdout == "The operator at 127.0.0.1 answers ok.\nThe API server takes a SelectionRun.\n"
    assert (good.returncode, good.stderr) == (0, "")
    assert control_plane.get("-n", release, "selectionruns")["items"] == []
    operator.terminate()
    bad = helm_test(operator.port)
    assert bad.returncode == 1
    assert "The operator at 127.0.0.1 does not answer" in bad.stderr
