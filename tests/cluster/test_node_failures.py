"""Runs that can't start, or end badly, on a real node: what the cluster says is what the status says."""

import pytest
from testbed.waiting import wait_until

NEVER = "localhost/nothing-of-this-name:1"


@pytest.fixture
def empty_volume(volume):
    """A volume with an input folder and nothing in it."""
    volume.make_folder("input")
    return volume


@pytest.fixture
def make_quick_manifest(make_cluster_manifest, empty_volume):
    """Return a function **spec changes -> manifest of a run that ends with exit code 3 as soon as it has started."""
    return make_cluster_manifest


def test_a_run_without_images_fails_at_once_and_is_not_retried(runs, make_quick_manifest):
    name = runs.apply(make_quick_manifest(backoffLimit=3), "empty")
    status = runs.wait_for_phase(name, "Failed")
    assert status["failure"]["reason"] == "UnusableData"
    assert status["failure"]["exitCode"] == 3
    assert "/input" in status["failure"]["message"]
    assert status["conditions"]["Stalled"]["status"] == "True"
    assert len(runs.pods(name)) == 1


def test_a_deleted_run_takes_its_job_and_its_pods_along(runs, make_quick_manifest):
    name = runs.apply(make_quick_manifest(), "deleted")
    runs.wait_for_phase(name, "Failed")
    runs.delete(name)
    wait_until(lambda: not runs.jobs(name) and not runs.pods(name), 60, "Job and pods are gone")


def test_a_missing_secret_is_named_and_the_run_starts_when_it_is_there(
    runs, node_cluster, node_namespace, make_quick_manifest
):
    reference = {"secretKeyRef": {"name": "forgotten", "key": "token"}}
    env = [{"name": "TOKEN", "valueFrom": reference}]
    name = runs.apply(make_quick_manifest(podTemplate={"env": env}), "secret")
    status = runs.wait_for_reason(name, "MissingSecret")
    assert '"forgotten" not found' in status["conditions"]["Ready"]["message"]
    assert status["phase"] == "Pending"
    node_cluster.kubectl("-n", node_namespace, "create", "secret", "generic", "forgotten", "--from-literal=token=x")
    assert runs.wait_for_phase(name, "Failed")["failure"]["reason"] == "UnusableData"


def test_a_missing_image_is_told_in_the_kubelets_words(runs, make_quick_manifest):
    name = runs.apply(make_quick_manifest(podTemplate={"image": NEVER}), "image")
    status = runs.wait_for_reason(name, "ImagePullBackOff")
    assert NEVER in status["conditions"]["Ready"]["message"]


def test_a_run_that_no_node_can_take_says_so_in_the_schedulers_words(runs, make_quick_manifest):
    name = runs.apply(make_quick_manifest(podTemplate={"nodeSelector": {"disk": "none-such"}}), "selector")
    status = runs.wait_for_reason(name, "Unschedulable")
    assert "node affinity/selector" in status["conditions"]["Ready"]["message"]


def test_a_run_waits_for_a_gpu_and_starts_when_a_node_has_one(runs, extended_resource, make_quick_manifest):
    name = runs.apply(make_quick_manifest(resources={"limits": {"nvidia.com/gpu": 1}}), "gpu")
    status = runs.wait_for_reason(name, "Unschedulable")
    assert "Insufficient nvidia.com/gpu" in status["conditions"]["Ready"]["message"]
    extended_resource("nvidia.com/gpu", 1)
    assert runs.wait_for_phase(name, "Failed")["failure"]["reason"] == "UnusableData"
    assert runs.pods(name)[0]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_run_out_of_memory_twice_in_a_stage_fails_with_advice(runs, make_quick_manifest):
    limits = {"memory": "100Mi"}
    name = runs.apply(make_quick_manifest(backoffLimit=5, resources={"limits": limits}), "memory")
    status = runs.wait_for_phase(name, "Failed")
    assert status["failure"]["reason"] == "OOMKilled"
    assert "spec.resources.limits.memory" in status["failure"]["message"]
    killed = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] for pod in runs.pods(name)]
    assert killed == ["OOMKilled"] * 2


def test_a_deadline_ends_a_run(runs, make_quick_manifest):
    env = [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "forgotten", "key": "token"}}}]
    name = runs.apply(make_quick_manifest(activeDeadlineSeconds=3, podTemplate={"env": env}), "deadline")
    assert runs.wait_for_phase(name, "Failed")["failure"]["reason"] == "DeadlineExceeded"
