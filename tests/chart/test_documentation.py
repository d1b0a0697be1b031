"""The pages about installing and operating say what is there."""

import re

import pytest
import yaml

from selection_operator.serving.metrics import REGISTRY, RunsCollector

PAGES = ("install", "gitops", "kueue", "gpu", "metrics")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture(params=PAGES)
def page(request, root):
    return (root / f"docs/{request.param}.md").read_text(encoding="utf-8")


def test_every_yaml_on_the_page_can_be_read(page):
    for text in blocks(page, "yaml"):
        assert list(yaml.safe_load_all(text))


def test_every_value_that_the_page_names_exists(page, chart):
    values = yaml.safe_load((chart / "values.yaml").read_text())
    named = set(re.findall(r"--set(?:-string)? '?([a-zA-Z.]+)", page))
    named |= {
        name for name in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)(?:=\w+)?`", page) if name.partition(".")[0] in values
    }
    named |= set(re.findall(r"`(watchNamespaces|imagePullSecrets|logLevel)`", page))
    assert [name for name in named if not has(values, name)] == []


def has(values, path):
    """Say whether a value exists, or may be a key of one that is a free mapping."""
    for key in path.rstrip(".").split("."):
        if values == {}:
            return True
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def test_every_metric_is_documented(root):
    text = (root / "docs/metrics.md").read_text(encoding="utf-8")
    operator = {family.name for family in [*REGISTRY.collect(), *RunsCollector(list).collect()]}
    job = set(re.findall(r'"(selection_job_\w+)"', (root / "job_image/selection_job/process/metrics.py").read_text()))
    assert len(operator) >= 5
    assert len(job) >= 7
    assert [name for name in operator | job if f"`{name}" not in text] == []


def test_the_alerts_ask_for_metrics_and_labels_that_there_are(root):
    [rules] = [
        document["groups"][0]["rules"]
        for text in blocks((root / "docs/metrics.md").read_text(encoding="utf-8"), "yaml")
        for document in yaml.safe_load_all(text)
        if "groups" in document
    ]
    families = [*REGISTRY.collect(), *RunsCollector(list).collect()]
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    used = [set(re.findall(r"selection_operator_\w+", rule["expr"])) for rule in rules]
    assert all(used)
    assert set().union(*used) - names == set()
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 4
    by = {label for rule in rules for label in re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", rule["expr"])))}
    assert by <= {"phase", "reason", "kind"}


def test_the_documented_progress_policy_fits_the_job_s_pods(root):
    text = (root / "docs/install.md").read_text(encoding="utf-8")
    [policy] = [yaml.safe_load(block) for block in blocks(text, "yaml") if "NetworkPolicy" in block]
    assert policy["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/managed-by": "selection-operator"}
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": 9090}]


def test_the_chart_s_readme_and_the_pages_name_each_other(root):
    assert "../helm/selection-operator/README.md" in (root / "docs/install.md").read_text()
    assert "docs/install.md" in (root / "helm/selection-operator/README.md").read_text()


def test_kubernetes_admin_holds_the_rights_on_runs_that_an_operator_is_given(root):
    """The API server lets nobody give a right that he lacks; Jobs, pods and Events are in Kubernetes' own role."""

    def rights(name):
        document = yaml.safe_load((root / f"kustomize/base/{name}.yaml").read_text())
        return {
            (resource, verb)
            for rule in document["rules"]
            if rule["apiGroups"] == ["dataselection.io"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    held = rights("clusterrole-view") | rights("clusterrole-edit") | rights("clusterrole-admin")
    assert rights("clusterrole")
    assert rights("clusterrole") - held == set()
