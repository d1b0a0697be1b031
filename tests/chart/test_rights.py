"""What the operator's service account may do on a real API server after helm install, and what the operator uses."""

import itertools
import json
import re
import shlex

import pytest
from testbed.fixtures import make_namespace
from testbed.operator_process import OperatorProcess
from testbed.played_pods import PlayedPods, make_node
from testbed.rest import rest_of
from testbed.waiting import wait_until

from selection_api.names import run_id
from selection_operator.cluster.rbac import KUEUE_RULES, RULES

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("dataselection.io", "selectionruns"),
    ("dataselection.io", "selectionruns/status"),
    ("dataselection.io", "selectionruns/finalizers"),
    ("batch", "jobs"),
    ("batch", "jobs/status"),
    ("batch", "cronjobs"),
    ("", "pods"),
    ("", "pods/exec"),
    ("", "pods/log"),
    ("", "pods/proxy"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "events"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "persistentvolumeclaims"),
    ("", "namespaces"),
    ("", "nodes"),
    ("coordination.k8s.io", "leases"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("kueue.x-k8s.io", "workloads"),
    ("kueue.x-k8s.io", "localqueues"),
)
VOLUME = {"type": "LOCAL", "persistentVolumeClaim": {"claimName": "dashcam"}}
RUN = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "spec": {
        "datasources": {
            "input": {**VOLUME, "resourcePath": "/data/images/"},
            "lightly": {**VOLUME, "resourcePath": "/data/"},
        },
        "workerConfig": {"stopping_condition": {"n_samples": 0.1}},
        "resources": {},
    },
}
WORKLOADS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "workloads.kueue.x-k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, a small stand-in"},
    },
    "spec": {
        "group": "kueue.x-k8s.io",
        "names": {"kind": "Workload", "plural": "workloads", "singular": "workload", "listKind": "WorkloadList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1beta2",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def ask_for_all(plane, user, namespace):
    """Which (group, resource, verb) the API server allows a user in a namespace: one review for each."""
    asked = list(itertools.product(RESOURCES, VERBS))
    reviews = [make_review(user, namespace, *resource, verb) for resource, verb in asked]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    answers = plane.kubectl("create", "-o", r'jsonpath={.status.allowed}{"\n"}', "-f", "-", input=listed).stdout.split()
    return {(*resource, verb) for (resource, verb), answer in zip(asked, answers, strict=True) if answer == "true"}


def make_review(user, namespace, group, resource, verb):
    name, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": name, "subresource": subresource, "verb": verb}
    groups = ["system:authenticated", "system:serviceaccounts"]
    spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


def rights_in(rules):
    return {(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs}


@pytest.fixture
def install(helm4, control_plane, chart, release):
    """Install the chart with values; return the name of the operator's user."""
    on = helm4.at(control_plane)

    def run(**values):
        values = {"rbac": {"aggregate": False}, **values, "fullnameOverride": release, "crds": {"enabled": False}}
        on("install", release, chart, "-n", release, values=values)
        return f"system:serviceaccount:{release}:{release}"

    yield run
    on("uninstall", release, "-n", release, check=False)


@pytest.mark.parametrize("kueue", [False, True], ids=["without Kueue", "with Kueue"])
def test_the_operator_may_do_in_every_namespace_what_it_needs_and_nothing_else(
    install, control_plane, namespace, kueue
):
    user = install(kueue={"enabled": kueue})
    expected = rights_in((*RULES, *KUEUE_RULES)) if kueue else rights_in(RULES)
    assert ask_for_all(control_plane, user, namespace) == expected


def test_in_watched_namespaces_the_operator_may_do_nothing_elsewhere(install, control_plane, namespace, release):
    user = install(watchNamespaces=[namespace])
    assert ask_for_all(control_plane, user, namespace) == rights_in(RULES)
    assert ask_for_all(control_plane, user, "default") == set()
    assert ask_for_all(control_plane, user, release) == set()


def test_the_api_server_refuses_the_impersonated_operator_a_secret(install, control_plane, namespace):
    user = install()
    control_plane.kubectl("-n", namespace, "create", "secret", "generic", "key", "--from-literal=a=b")
    asked = control_plane.kubectl("-n", namespace, "get", "secret/key", "--as", user, check=False)
    assert "Forbidden" in asked.stderr
    assert control_plane.kubectl("-n", namespace, "get", "jobs", "--as", user).returncode == 0
    assert control_plane.kubectl("-n", namespace, "auth", "can-i", "create", "jobs", "--as", user).stdout == "yes\n"


READ_STATUS = {("selectionruns/status", verb) for verb in ("get", "list", "watch")}


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("view", READ_STATUS | {("selectionruns", verb) for verb in ("get", "list", "watch")}),
        ("edit", READ_STATUS | {("selectionruns", verb) for verb in VERBS}),
        ("admin", READ_STATUS | {("selectionruns/status", "update")} | {("selectionruns", verb) for verb in VERBS}),
    ],
)
def test_kubernetes_roles_for_users_take_up_runs(install, control_plane, namespace, role, allowed):
    install(rbac={"aggregate": True})
    user = f"{role}er@example.com"
    control_plane.kubectl("-n", namespace, "create", "rolebinding", role, f"--clusterrole={role}", f"--user={user}")

    def rights():
        found = ask_for_all(control_plane, user, namespace)
        return {(resource, verb) for group, resource, verb in found if group == "dataselection.io"}

    wait_until(lambda: rights() == allowed, 30, "the roles are aggregated")


def test_who_has_admin_in_a_namespace_can_install_an_operator_there_as_documented(
    helm, fresh_plane, chart, unique, root
):
    """What the administrator applies first, and what the user then types, are taken from docs/install.md."""
    text = (root / "docs/install.md").read_text(encoding="utf-8").partition("## Without rights on the cluster")[2]
    first, then = re.findall(r"```console\n(.*?)```", text, re.DOTALL)[:2]
    user = f"{unique}@example.com"
    fresh_plane.kubectl("create", "namespace", unique)
    fresh_plane.kubectl("-n", unique, "create", "rolebinding", "admin", "--clusterrole=admin", f"--user={user}")
    install = shlex.split(then.replace("\\\n", "").replace("team-a", unique))[1:]
    install[install.index("helm/selection-operator")] = chart
    on = helm.at(fresh_plane)
    refused = on(*install, "--kube-as-user", user, check=False).stderr
    assert "dataselection.io" in refused
    on("uninstall", "selection-operator", "-n", unique, check=False)
    for line in first.strip().splitlines():
        fresh_plane.kubectl(*[root / word if word.endswith(".yaml") else word for word in line.split()[1:]])
    can = ["-n", unique, "auth", "can-i", "update", "selectionruns", "--subresource=status", "--as", user]
    wait_until(lambda: fresh_plane.kubectl(*can, check=False).stdout == "yes\n", 30, "the roles are aggregated")
    on(*install, "--kube-as-user", user)
    on("uninstall", "selection-operator", "-n", unique, "--kube-as-user", user)
    fresh_plane.kubectl("delete", "namespace", unique, "--wait=false")


@pytest.fixture
def install_operator(helm4, fresh_plane, chart, unique, tmp_path):
    """Install the chart; run the operator of its Deployment here: its settings, the rights of its service account."""
    started = []

    def run(**values):
        values = {**values, "fullnameOverride": unique}
        helm4.at(fresh_plane)("install", unique, chart, "-n", unique, "--create-namespace", values=values)
        wait_until(lambda: fresh_plane.kubectl("get", "selectionruns", check=False).returncode == 0, 30, "the CRD")
        deployment = fresh_plane.get("-n", unique, "deployment", unique)
        environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        settings = {each["name"].removeprefix("SELECTION_").lower(): each["value"] for each in environment}
        del settings["listen"]
        token = fresh_plane.kubectl("-n", unique, "create", "token", unique).stdout.strip()
        operator = OperatorProcess(tmp_path, fresh_plane.write_kubeconfig(unique, token=token), **settings)
        started.append(operator)
        return operator.start()

    yield run
    for operator in started:
        operator.kill()
    helm4.at(fresh_plane)("uninstall", unique, "-n", unique, check=False)
    fresh_plane.kubectl("delete", "crd", WORKLOADS["metadata"]["name"], "--ignore-not-found", "--wait=false")
    fresh_plane.kubectl("delete", "namespace", unique, "--ignore-not-found", "--wait=false")


class Played:
    """Runs of one namespace on a control plane without nodes, whose pods the test plays."""

    def __init__(self, plane, namespace):
        self.rest, self.namespace, self.node = rest_of(plane), namespace, f"node-{namespace}"
        make_node(self.rest, self.node)
        self.pods = PlayedPods(self.rest, namespace, self.node)

    def create(self, name, labels=None, **spec):
        document = {**RUN, "metadata": {"name": name, "labels": labels or {}}, "spec": {**RUN["spec"], **spec}}
        return self.rest.create("selectionruns", self.namespace, document)

    def suspend(self, name, suspended):
        self.rest.patch("selectionruns", self.namespace, name, {"spec": {"suspend": suspended}})

    def phase(self, name):
        run = self.rest.get("selectionruns", self.namespace, name)
        return run["status"].get("phase") if run else "Deleted"

    def wait_for(self, name, phase):
        wait_until(lambda: self.phase(name) == phase, 30, f"{name} is {phase}")

    def wait_for_child(self, plural, name):
        def look():
            found = self.rest.list(plural, self.namespace, labelSelector=f"dataselection.io/run={name}")
            return [each for each in found if "deletionTimestamp" not in each["metadata"]]

        return wait_until(look, 30, f"{name} has one of {plural}")[0]

    def close(self):
        self.rest.delete("nodes", None, self.node)
        self.rest.delete("namespaces", None, self.namespace)


@pytest.fixture
def played(fresh_plane):
    """A namespace of the fresh control plane."""
    place = Played(fresh_plane, make_namespace(fresh_plane, "played"))
    yield place
    place.close()


def requests_of(plane, user):
    """The user's requests in the audit log: {(group, resource, verb): HTTP statuses}."""
    found = {}
    for line in plane.audit_log.read_text().splitlines():
        entry = json.loads(line)
        if entry["user"]["username"] == user and entry["stage"] == "ResponseComplete" and "objectRef" in entry:
            about = entry["objectRef"]
            resource = "/".join(filter(None, [about.get("resource"), about.get("subresource")]))
            key = (about.get("apiGroup", ""), resource, entry["verb"])
            found.setdefault(key, set()).add(entry["responseStatus"]["code"])
    return found


def play_a_whole_life(played):
    """Play a run that is suspended, goes on, waits so long that Events are read, ends, and is deleted by its ttl."""
    played.create("life", ttlSecondsAfterFinished=0)
    played.wait_for_child("jobs", "life")
    played.suspend("life", True)
    played.wait_for("life", "Suspended")
    played.suspend("life", False)
    pod = played.wait_for_child("pods", "life")
    yield
    played.pods.run(pod)
    played.pods.end(pod, 0)
    played.wait_for("life", "Deleted")


def play_a_taken_name(played, operator):
    """Play a run whose Job's name somebody took while the operator was down."""
    operator.kill()
    run = played.create("taken")
    container = {"name": "foreign", "image": "foreign"}
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    metadata = {"name": run_id("taken", run["metadata"]["uid"])}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    played.rest.create("jobs", played.namespace, job)
    operator.start()


def play_a_queued_run(played):
    """Play a run under a queue of Kueue that the user suspends."""
    played.create("queued", {"kueue.x-k8s.io/queue-name": "gpu"})
    uid = played.wait_for_child("jobs", "queued")["metadata"]["uid"]
    metadata = {"name": "workload", "labels": {"kueue.x-k8s.io/job-uid": uid}}
    workload = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": metadata}
    played.rest.create("workloads", played.namespace, {**workload, "spec": {"active": True}})
    played.suspend("queued", True)
    inactive = {"active": False}
    wait_until(lambda: played.rest.get("workloads", played.namespace, "workload")["spec"] == inactive, 30, "inactive")


def test_the_operator_uses_each_right_that_the_chart_gives_it_and_needs_no_other(
    install_operator, fresh_plane, played, unique
):
    fresh_plane.apply(WORKLOADS)
    operator = install_operator(kueue={"enabled": True})
    user = f"system:serviceaccount:{unique}:{unique}"
    life = play_a_whole_life(played)
    next(life)
    play_a_queued_run(played)
    wait_until(lambda: ("", "events", "list") in requests_of(fresh_plane, user), 30, "Events are read")
    assert list(life) == []
    play_a_taken_name(played, operator)
    wait_until(lambda: ("batch", "jobs", "get") in requests_of(fresh_plane, user), 30, "the foreign Job is looked at")
    requests = requests_of(fresh_plane, user)
    assert set(requests) == rights_in((*RULES, *KUEUE_RULES))
    assert [key for key, codes in requests.items() if 403 in codes] == []


def test_in_watched_namespaces_the_operator_works_with_roles_alone(install_operator, fresh_plane, played, unique):
    install_operator(watchNamespaces=[played.namespace])
    played.create("run")
    pod = played.wait_for_child("pods", "run")
    played.pods.run(pod)
    played.pods.end(pod, 0)
    played.wait_for("run", "Complete")
    requests = requests_of(fresh_plane, f"system:serviceaccount:{unique}:{unique}")
    assert [key for key, codes in requests.items() if 403 in codes] == []
