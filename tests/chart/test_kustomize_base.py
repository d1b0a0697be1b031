"""kustomize/base is the chart with its own values, without what helm says of itself."""

import re
import shutil
import subprocess

import pytest
import yaml
from testbed import binaries

OF_HELM = ("helm.sh/", "app.kubernetes.io/managed-by")


@pytest.fixture
def build():
    """Run kubectl kustomize; return the objects by kind and name."""

    def run(folder):
        kubectl = binaries.find("kubernetes", "kubectl")
        built = subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout
        return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(built)}

    return run


@pytest.fixture
def overlay(root, tmp_path):
    """The overlay of docs/install.md, beside a copy of the base."""
    shutil.copytree(root / "kustomize/base", tmp_path / "base")
    text = (root / "docs/install.md").read_text(encoding="utf-8")
    [shown] = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: Kustomization" in block]
    document = yaml.safe_load(shown)
    assert len(document["resources"]) == 1
    return tmp_path, {**document, "resources": ["base"]}


def test_the_generated_files_are_fresh(render_module, helm, monkeypatch, capsys):
    """With either helm, so that it does not matter which one is on a developer's PATH."""
    monkeypatch.setattr(render_module, "find_helm", lambda: str(helm.binary))
    assert render_module.main(["--check"]) == 0, capsys.readouterr().out


def test_the_base_is_the_rendered_chart(build, helm4, root):
    rendered = helm4.render(name="selection-operator", namespace="selection-operator", options=["--no-hooks"])
    for document in rendered:
        labels = document["metadata"]["labels"]
        document["metadata"]["labels"] = {key: text for key, text in labels.items() if not key.startswith(OF_HELM)}
        document["metadata"].pop("annotations", None)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "selection-operator"}}
    assert build(root / "kustomize/base") == {(d["kind"], d["metadata"]["name"]): d for d in [namespace, *rendered]}


def test_the_documented_overlay_moves_it_to_another_namespace_and_registry(build, overlay):
    folder, document = overlay
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    built = build(folder)
    container = built["Deployment", "selection-operator"]["spec"]["template"]["spec"]["containers"][0]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert ("Namespace", "vision") in built
    assert built["ClusterRoleBinding", "selection-operator"]["subjects"][0]["namespace"] == "vision"
    assert container["image"] == "registry.example.com/selection-operator:0.1.0"
    assert environment["SELECTION_JOB_IMAGE"] == "registry.example.com/selection-job:0.1.0"
    assert environment["SELECTION_SCRATCH_SIZE"] == "20Gi"


def test_the_api_server_takes_the_base(control_plane, namespace, overlay):
    folder, document = overlay
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({**document, "namespace": namespace}))
    said = control_plane.kubectl("apply", "--dry-run=server", "-k", folder).stdout
    assert "deployment.apps/selection-operator created (server dry run)" in said
