"""What the chart makes of its values, by both helms."""

import copy
import functools
import json
import shutil

import pytest
import yaml
from jsonschema import Draft7Validator

from selection_api import parse_manifest
from selection_api.model import QUANTITY
from selection_operator.cluster.rbac import KUEUE_RULES, RULES
from selection_operator.settings import Settings, read_settings

CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
EVERYTHING = {
    "image": {"registry": "registry.example.com/team", "digest": f"sha256:{'a' * 64}", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "operator-pull"}],
    "job": {
        "image": {"registry": "registry.example.com:5000", "repository": "jobs/selection", "tag": "cu130"},
        "imagePullSecrets": [{"name": "pull"}, {"name": "pull-2"}],
        "resources": {"limits": {"cpu": 4, "memory": "16Gi"}, "requests": {"cpu": "500m", "memory": 4294967296}},
        "gpuResource": "nvidia.com/mig-1g.10gb",
        "sharedMemorySize": "8Gi",
        "scratchSize": "100Gi",
    },
    "watchNamespaces": ["team-a", "team-b"],
    "resyncSeconds": 60,
    "progressSeconds": 2.5,
    "logLevel": "DEBUG",
    "listen": {"host": "::", "port": 9000},
    "kueue": {"enabled": True},
    "serviceAccount": {"name": "chosen", "annotations": {"example.com/role": "reader"}},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "podAnnotations": {"example.com/note": "yes"},
    "podLabels": {"example.com/team": "vision"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "metrics": {"serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}}},
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}], "apiServerPorts": [8443]},
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": 0},
}


def of_kind(documents, kind, name=None):
    found = [d for d in documents if d["kind"] == kind and (name is None or d["metadata"]["name"] == name)]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def operator_pod(documents):
    return of_kind(documents, "Deployment")["spec"]["template"]


def settings_of(documents):
    """The operator's settings, read by its own code from the Deployment's environment."""
    container = operator_pod(documents)["spec"]["containers"][0]
    return read_settings({each["name"]: each["value"] for each in container["env"]})


def rights_of(role):
    """What a role allows: group, resource, verb."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights_in(rules):
    return {(rule.group, rule.resource, verb) for rule in rules for verb in rule.verbs}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_lint_has_nothing_to_say(helm, chart, values):
    said = helm("lint", "--strict", "--kube-version", "1.31.0", chart, values=values).stdout
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_both_helms_render_the_same_objects(helm3, helm4, values):
    assert helm3.render(values) == helm4.render(values)


def test_the_chart_s_values_give_the_operator_s_own_defaults(helm4):
    assert settings_of(helm4.render()) == Settings(
        job_image="localhost/selection-job:0.1.0", identity="installed/release-selection-operator"
    )


def test_each_setting_of_the_operator_comes_from_a_value(helm4):
    chosen = settings_of(helm4.render(EVERYTHING))
    assert chosen.job_image == "registry.example.com:5000/jobs/selection:cu130"
    assert chosen.job_image_pull_secrets == ("pull", "pull-2")
    assert chosen.job_resources.limits == {"cpu": 4, "memory": "16Gi"}
    assert chosen.job_resources.requests == {"cpu": "500m", "memory": 4294967296}
    assert (chosen.gpu_resource, chosen.shared_memory_size) == ("nvidia.com/mig-1g.10gb", "8Gi")
    assert (chosen.scratch_size, chosen.watch_namespaces) == ("100Gi", ("team-a", "team-b"))
    assert (chosen.resync_seconds, chosen.progress_seconds) == (60, 2.5)
    assert (chosen.kueue_enabled, chosen.log_level, chosen.listen) == (True, "DEBUG", ("::", 9000))
    never = helm4.render({"job": {"image": {"pullPolicy": "Never"}}})
    assert settings_of(never).job_image_pull_policy == "Never"


def test_the_environment_names_every_setting_and_nothing_else(helm4):
    container = operator_pod(helm4.render({**EVERYTHING, "extraEnv": []}))["spec"]["containers"][0]
    names = {each["name"] for each in container["env"]}
    assert names == {f"SELECTION_{field.upper()}" for field in Settings.__dataclass_fields__}


def test_the_pod_is_as_the_values_say(helm4):
    pod = operator_pod(helm4.render(EVERYTHING))
    container = pod["spec"]["containers"][0]
    assert container["image"] == f"registry.example.com/team/selection-operator@sha256:{'a' * 64}"
    assert container["imagePullPolicy"] == "Always"
    assert container["env"][-1] == {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}
    assert container["ports"] == [{"name": "metrics", "containerPort": 9000}]
    assert pod["metadata"]["annotations"] == {"example.com/note": "yes"}
    assert pod["metadata"]["labels"]["example.com/team"] == "vision"
    expected = {key: EVERYTHING[key] for key in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity")}
    expected |= {"priorityClassName": "high", "serviceAccountName": "chosen"}
    assert {key: pod["spec"][key] for key in expected} == expected


def test_every_value_is_heard(helm4, chart):
    """Changing any one value changes what is rendered, so none is accepted and ignored."""
    values = yaml.safe_load((chart / "values.yaml").read_text())
    needs = {"metrics.serviceMonitor.": "metrics.serviceMonitor.enabled", "networkPolicy.": "networkPolicy.enabled"}
    needs |= {"podDisruptionBudget.": "podDisruptionBudget.enabled"}
    render = functools.cache(lambda text: helm4.render(json.loads(text)))
    deaf = []
    for path, other in OTHERS.items():
        before = copy.deepcopy(values)
        for prefix, switch in needs.items():
            if path.startswith(prefix) and path != switch:
                put(before, switch, True)
        after = copy.deepcopy(before)
        put(after, path, other)
        deaf += [path] if render(json.dumps(before)) == render(json.dumps(after)) else []
    assert deaf == []


OTHERS = {
    "nameOverride": "other", "fullnameOverride": "other", "image.registry": "other", "image.repository": "other",
    "image.tag": "other", "image.digest": f"sha256:{'b' * 64}", "image.pullPolicy": "Never",
    "imagePullSecrets": [{"name": "other"}], "job.image.registry": "other", "job.image.repository": "other",
    "job.image.tag": "other", "job.image.digest": f"sha256:{'b' * 64}", "job.image.pullPolicy": "Never",
    "job.imagePullSecrets": [{"name": "other"}], "job.resources": {"limits": {"cpu": 1}},
    "job.gpuResource": "example.com/other", "job.sharedMemorySize": "1Gi", "job.scratchSize": "1Gi",
    "watchNamespaces": ["other"], "resyncSeconds": 1, "progressSeconds": 1, "logLevel": "ERROR",
    "listen.host": "::", "listen.port": 1, "kueue.enabled": True, "crds.enabled": False, "crds.keep": False,
    "serviceAccount.create": False, "serviceAccount.name": "other", "serviceAccount.annotations": {"a": "b"},
    "rbac.create": False, "rbac.aggregate": False, "resources": {"limits": {"cpu": 1}},
    "extraEnv": [{"name": "OTHER", "value": ""}], "podAnnotations": {"a": "b"}, "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}], "affinity": {"podAffinity": {}},
    "priorityClassName": "other", "metrics.service": False, "metrics.serviceMonitor.enabled": True,
    "metrics.serviceMonitor.interval": "1s", "metrics.serviceMonitor.labels": {"a": "b"},
    "networkPolicy.enabled": True, "networkPolicy.metricsFrom": [{"podSelector": {}}],
    "networkPolicy.apiServerPorts": [1], "podDisruptionBudget.enabled": True, "podDisruptionBudget.maxUnavailable": 0,
}  # fmt: skip
"""For each value another one."""


def put(values, path, value):
    *parents, last = path.split(".")
    for key in parents:
        values = values[key]
    values[last] = value


def test_the_chart_takes_the_quantities_that_a_run_takes(chart):
    quantity = json.loads((chart / "values.schema.json").read_text())["definitions"]["quantity"]
    assert quantity["pattern"] == QUANTITY


def schema_paths(schema, node, prefix=""):
    """The paths of the values that a schema knows; global is Helm's own."""
    if "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    if node.get("additionalProperties") is not False or prefix in ("resources.", "job.resources."):
        return {prefix.removesuffix(".")}
    children = (schema_paths(schema, child, f"{prefix}{key}.") for key, child in node["properties"].items())
    return set().union(*children) - {"global"}


def test_values_schema_and_the_table_of_other_values_have_the_same_keys(chart, render_module):
    schema = json.loads((chart / "values.schema.json").read_text())
    lines = (chart / "values.yaml").read_text().splitlines()
    commented = [path for path, _ in render_module.read_comments(lines)]
    assert set(commented) == schema_paths(schema, schema) == set(OTHERS)
    assert len(commented) == len(set(commented))


def test_the_schema_is_valid_and_takes_its_defaults(chart):
    schema = json.loads((chart / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    Draft7Validator(schema).validate(yaml.safe_load((chart / "values.yaml").read_text()))


WRONG = {
    "replicas": ({"replicas": 2}, "replicas"),
    "misspelt in image": ({"image": {"tagg": "1"}}, "tagg"),
    "misspelt in job": ({"job": {"sharedMemory": "1Gi"}}, "sharedMemory"),
    "misspelt in kueue": ({"kueue": {"enable": True}}, "enable"),
    "misspelt deep": ({"metrics": {"serviceMonitor": {"on": True}}}, "on"),
    "text for a flag": ({"crds": {"keep": "yes"}}, "keep"),
    "no level": ({"logLevel": "verbose"}, "logLevel"),
    "no seconds": ({"progressSeconds": 0}, "progressSeconds"),
    "fraction for a quantity": ({"job": {"resources": {"requests": {"cpu": 0.5}}}}, "cpu"),
    "no quantity": ({"job": {"scratchSize": "20 GB"}}, "scratchSize"),
    "list for one namespace": ({"watchNamespaces": "team-a"}, "watchNamespaces"),
    "no namespace": ({"watchNamespaces": ["Team_A"]}, "watchNamespaces"),
    "setting by extraEnv": (
        {"extraEnv": [{"name": "SELECTION_LOG_LEVEL", "value": "DEBUG"}]},
        "extraEnv names SELECTION_LOG_LEVEL, which the chart itself sets from logLevel: set that instead",
    ),
    "no setting by extraEnv": (
        {"extraEnv": [{"name": "HTTPS_PROXY", "value": "x"}, {"name": "SELECTION_X", "value": ""}]},
        "extraEnv names SELECTION_X: the operator has no such setting",
    ),
    "scheme in the registry": ({"image": {"registry": "https://registry.example.com"}}, "image.registry is https://"),
    "scheme in the Jobs' registry": ({"job": {"image": {"registry": "oci://a/b"}}}, "job.image.registry is oci://"),
    "selector by podLabels": ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels"),
    "GPUs in job.resources": ({"job": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}, "trainer.gpus"),
    "monitor without service": (
        {"metrics": {"service": False, "serviceMonitor": {"enabled": True}}},
        "metrics.service=true",
    ),
    "annotations without account": (
        {"serviceAccount": {"create": False, "annotations": {"a": "b"}}},
        "serviceAccount.create=true",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_name(helm, chart, name):
    values, word = WRONG[name]
    done = helm("template", chart, "--kube-version", "1.31.0", values=values, check=False)
    assert done.returncode != 0
    assert word in done.stderr


def test_each_setting_has_the_value_that_extra_env_is_told_of(chart):
    helpers = (chart / "templates/_helpers.tpl").read_text()
    table = yaml.safe_load(helpers.partition('"selection-operator.settings" -}}')[2].partition("{{-")[0])
    assert set(table) == {f"SELECTION_{field.upper()}" for field in Settings.__dataclass_fields__}
    values = yaml.safe_load((chart / "values.yaml").read_text())
    for path in table.values():
        node = values
        for key in path.split("."):
            node = node[key]


def test_an_older_kubernetes_is_refused(helm, chart):
    done = helm("template", chart, "--kube-version", "1.30.9", check=False)
    assert ">=1.31.0-0" in done.stderr
    assert helm("template", chart, "--kube-version", "1.31.0-gke.100").returncode == 0


@pytest.mark.parametrize(
    ("kueue", "rules"), [(False, RULES), (True, (*RULES, *KUEUE_RULES))], ids=["without Kueue", "with Kueue"]
)
@pytest.mark.parametrize("namespaces", [[], ["team-a", "team-b"]], ids=["cluster", "namespaces"])
def test_the_roles_allow_what_the_operator_needs_and_nothing_else(helm4, kueue, rules, namespaces):
    documents = helm4.render({"kueue": {"enabled": kueue}, "watchNamespaces": namespaces}, options=["--no-hooks"])
    kind = "Role" if namespaces else "ClusterRole"
    roles = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == "release-selection-operator"]
    assert [role["metadata"].get("namespace") for role in roles] == (namespaces or [None])
    assert all(rights_of(role) == rights_in(rules) for role in roles)


def test_in_namespaces_the_operator_has_no_rights_beyond_them(helm4):
    documents = helm4.render({"watchNamespaces": ["team-a", "team-b"]}, options=["--no-hooks"])
    bindings = [d for d in documents if d["kind"].endswith("Binding")]
    assert [(d["kind"], d["metadata"]["namespace"]) for d in bindings] == [
        ("RoleBinding", "team-a"),
        ("RoleBinding", "team-b"),
    ]
    for binding in bindings:
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "release-selection-operator", "namespace": "installed"}
        ]


def test_an_administrator_of_namespaces_can_install_it_without_rights_on_the_cluster(helm4):
    values = {"watchNamespaces": ["team-a"], "crds": {"enabled": False}, "rbac": {"aggregate": False}}
    assert not {d["kind"] for d in helm4.render(values)} & CLUSTER_WIDE


def test_users_may_read_or_write_runs_and_only_administrators_their_status(helm4):
    documents = helm4.render()
    view = rights_of(of_kind(documents, "ClusterRole", "release-selection-operator-view"))
    edit = rights_of(of_kind(documents, "ClusterRole", "release-selection-operator-edit"))
    assert {verb for _, _, verb in view} == {"get", "list", "watch"}
    assert {resource for _, resource, _ in edit} == {"selectionruns"}
    admin = rights_of(of_kind(documents, "ClusterRole", "release-selection-operator-admin"))
    assert admin == {("dataselection.io", "selectionruns/status", "update")}


@pytest.mark.parametrize(
    ("crds", "annotations"),
    [({}, {"helm.sh/resource-policy": "keep"}), ({"keep": False}, {})],
    ids=["kept", "not kept"],
)
def test_the_crd_is_the_project_s_but_for_labels_and_the_policy(helm4, crds, annotations, root):
    crd = of_kind(helm4.render({"crds": crds}), "CustomResourceDefinition")
    assert crd["metadata"].pop("annotations", {}) == annotations
    assert crd["metadata"].pop("labels")["app.kubernetes.io/instance"] == "release"
    assert crd == yaml.safe_load((root / "crds/selectionruns.dataselection.io.yaml").read_text())


@pytest.mark.parametrize("crds", [{}, {"enabled": False}, {"keep": False}], ids=["kept", "another's", "not kept"])
def test_the_roles_of_users_stay_where_the_runs_do(helm4, crds):
    documents = helm4.render({"crds": crds}, options=["--no-hooks"])
    roles = [d["metadata"] for d in documents if any("aggregate-to" in key for key in d["metadata"].get("labels", {}))]
    assert len(roles) == 3
    kept = {} if crds.get("keep") is False else {"helm.sh/resource-policy": "keep"}
    assert [role.get("annotations", {}) for role in roles] == [kept] * 3


def test_the_crd_can_be_left_out(helm4):
    assert "CustomResourceDefinition" not in {d["kind"] for d in helm4.render({"crds": {"enabled": False}})}


def test_the_network_policy_lets_through_what_the_operator_needs(helm4):
    documents = helm4.render(EVERYTHING)
    policy = of_kind(documents, "NetworkPolicy")["spec"]
    labels = operator_pod(documents)["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    dns, api, progress = policy["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert api == {"ports": [{"port": 8443}]}
    assert progress["ports"] == [{"port": 9090}]
    assert progress["to"][0]["namespaceSelector"] == {}
    others, tests = policy["ingress"][0]["from"]
    assert others == {"namespaceSelector": {}}
    assert tests["podSelector"]["matchLabels"] == of_kind(documents, "Pod")["metadata"]["labels"]


def test_the_service_monitor_finds_the_service(helm4):
    documents = helm4.render(EVERYTHING)
    monitor, service = of_kind(documents, "ServiceMonitor"), of_kind(documents, "Service")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "path": "/metrics", "interval": "1m"}]
    assert service["spec"]["ports"][0]["name"] == "metrics"
    assert service["spec"]["selector"].items() <= operator_pod(documents)["metadata"]["labels"].items()


def test_the_pod_of_helm_test_is_not_taken_for_the_operator_s(helm4):
    documents = helm4.render()
    selector = of_kind(documents, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= of_kind(documents, "Pod")["metadata"]["labels"].items()


def test_helm_test_s_objects_come_and_go_with_the_test(helm4):
    with_tests, without = helm4.render(), helm4.render(options=["--no-hooks"])
    hooks = [d for d in with_tests if d not in without]
    assert {d["kind"] for d in hooks} == {"ServiceAccount", "Role", "RoleBinding", "Pod"}
    for hook in hooks:
        assert hook["metadata"]["annotations"]["helm.sh/hook"] == "test"
        assert "hook-succeeded" in hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"]


def test_helm_test_s_sample_is_a_valid_run(installation_check):
    assert parse_manifest(installation_check["SAMPLE"]).metadata.name == "helm-test"


def test_two_releases_share_no_name_but_the_crd_s(helm4):
    def names(release):
        found = helm4.render(name=release, namespace=release)
        return {(d["kind"], d["metadata"]["name"]) for d in found if d["kind"] in CLUSTER_WIDE}

    assert names("one") & names("two") == {("CustomResourceDefinition", "selectionruns.dataselection.io")}


def test_the_longest_release_name_makes_names_that_fit(helm4):
    for document in helm4.render(name="a" * 53):
        assert len(document["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in document["metadata"].get("labels", {}).values())


def test_it_works_as_a_part_of_another_chart(helm, chart, tmp_path):
    """Helm then passes `global`, which the schema must not refuse."""
    shutil.copytree(chart, tmp_path / "charts/selection-operator")
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: platform\nversion: 1.0.0\n")
    values = {"global": {"team": "vision"}, "selection-operator": {"logLevel": "DEBUG"}}
    assert settings_of(helm.render(values, chart=tmp_path)).log_level == "DEBUG"


def test_the_versions_are_the_project_s(chart, root):
    stated = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert f'version = "{stated["version"]}"' in (root / "pyproject.toml").read_text()
    assert stated["version"] == stated["appVersion"]
