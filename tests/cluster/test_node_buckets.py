"""Runs over S3 on a real node: two buckets, a Secret each, and every way in which one of them can be wrong.

Two servers of rclone, which verify signatures: one knows the reader's key only, the other one the writer's. Before each
stands what IAM would do, by the policies of docs/credentials.md.
"""

import contextlib
import json
import os
import shutil

import pytest
import storage_servers
from aws_iam import Iam

READER, WRITER = "AKIAREADER0000000000", "AKIAWRITER0000000000"
SECRETS = {READER: "the reader's own secret", WRITER: "the writer's own secret"}
BUCKETS = {READER: "photographs", WRITER: "results"}
ANY = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject"]

POLICIES = {
    READER: {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": "arn:aws:s3:::photographs",
                "Condition": {"StringLike": {"s3:prefix": "input/*"}},
            },
            {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photographs/input/*"},
            {"Effect": "Allow", "Action": ANY, "Resource": ["arn:aws:s3:::no-such-bucket", "*no-such-bucket/*"]},
        ]
    },
    WRITER: {"Statement": [{"Effect": "Allow", "Action": ANY, "Resource": ["arn:aws:s3:::results", "*results/*"]}]},
}


@pytest.fixture
def buckets(tmp_path, node_cluster, photos, checkpoint):
    """The folders of both buckets on this machine, and their endpoints as pods reach them, by access key."""
    address = node_cluster.pod_gateway if node_cluster.node else os.environ["TEST_HOST_ADDRESS"]
    folders, endpoints = {}, {}
    with contextlib.ExitStack() as servers:
        for key, bucket in BUCKETS.items():
            (tmp_path / bucket).mkdir()
            server = servers.enter_context(storage_servers.start_rclone(tmp_path / bucket, key, SECRETS[key]))
            iam = Iam({either: [POLICIES[key]] for either in BUCKETS})  # rclone itself knows one key only
            endpoints[key] = servers.enter_context(storage_servers.proxying(server.url, iam, address=address))
            folders[key] = tmp_path / bucket / "buckets" / bucket
        shutil.copytree(photos.folder, folders[READER] / "input")
        (folders[WRITER] / "output/.lightly").mkdir(parents=True)
        shutil.copy(checkpoint, folders[WRITER] / "output/.lightly/start.ckpt")
        yield folders, endpoints


@pytest.fixture
def make_bucket_manifest(make_cluster_manifest, buckets):
    """Return a function (input changes, lightly changes) -> manifest over both buckets; 3 retries are allowed."""

    def make(source=None, target=None):
        datasources = {
            "input": {**describe(READER, "input/", "reads", buckets), **(source or {})},
            "lightly": {**describe(WRITER, "output/", "writes", buckets), **(target or {})},
        }
        manifest = make_cluster_manifest(backoffLimit=3)
        manifest["spec"]["datasources"] = datasources
        return manifest

    return make


def describe(key, prefix, secret, buckets):
    return {
        "type": "S3",
        "resourcePath": f"s3://{BUCKETS[key]}/{prefix}",
        "region": "us-east-1",
        "endpoint": buckets[1][key],
        "credentialsSecretRef": {"name": secret},
    }


@pytest.fixture
def secrets(node_cluster, node_namespace):
    """The Secrets of the namespace: two that are right, one with a wrong secret, one without it."""

    def create(name, **literals):
        given = [f"--from-literal={key}={value}" for key, value in literals.items()]
        node_cluster.kubectl("-n", node_namespace, "create", "secret", "generic", name, *given)

    create("reads", access_key=READER, secret_access_key=SECRETS[READER])
    create("writes", access_key=WRITER, secret_access_key=SECRETS[WRITER])
    create("wrong", access_key=READER, secret_access_key="another one's")
    create("half", access_key=READER)


WRONG = {
    "wrong-secret": (
        {"credentialsSecretRef": {"name": "wrong"}},
        ["No permission to LIST s3://photographs/input/", "SignatureDoesNotMatch", "check secret_access_key"],
    ),
    "missing-key": (
        {"credentialsSecretRef": {"name": "half"}},
        ["The Secret half of spec.datasources.input lacks secret_access_key", "found: access_key"],
    ),
    "forbidden-prefix": (
        {"resourcePath": "s3://photographs/other/"},
        ["No permission to LIST s3://photographs/other/", "AccessDenied", "s3:ListBucket"],
    ),
    "missing-bucket": (
        {"resourcePath": "s3://no-such-bucket/input/"},
        ["no-such-bucket", "NoSuchBucket"],
    ),
}


@pytest.mark.usefixtures("secrets")
def test_two_buckets_with_a_secret_each_end_complete_and_each_wrong_one_ends_in_its_own_condition(
    runs, node_cluster, operator, make_bucket_manifest, buckets, photos
):
    runs.apply(make_bucket_manifest(), "right")
    for name, (changes, _) in WRONG.items():
        runs.apply(make_bucket_manifest(changes), name)
    swapped = {"credentialsSecretRef": {"name": "reads"}}
    runs.apply(make_bucket_manifest(target=swapped), "swapped")
    runs.apply(make_bucket_manifest({"credentialsSecretRef": {"name": "forgotten"}}), "absent")
    for name, (_, words) in WRONG.items():
        assert_refused(runs, name, words)
    assert_refused(runs, "swapped", ["s3://results/output/", "InvalidAccessKeyId"])
    waiting = runs.wait_for_reason("absent", "MissingSecret")
    assert '"forgotten" not found' in waiting["conditions"]["Ready"]["message"]
    status = runs.wait_for_phase("right", "Complete", 240)
    assert_results_are_in_the_bucket(status, buckets[0][WRITER], photos)
    (pod,) = runs.pods("right")
    assert_reaches_no_api(pod)
    assert_reads_no_secrets(node_cluster, operator, runs.namespace)


def assert_refused(runs, name, words):
    """The run has failed with exit code 4 after one pod, and its conditions say why."""
    status = runs.wait_for_phase(name, "Failed", 180)
    failure = status["failure"]
    assert (failure["reason"], failure["exitCode"]) == ("StorageRefused", 4), failure
    for word in words:
        assert word in failure["message"]
        assert word in status["conditions"]["Stalled"]["message"]
    assert status["conditions"]["Stalled"]["reason"] == "StorageRefused"
    assert status["conditions"]["Ready"]["status"] == "False"
    assert len(runs.pods(name)) == 1


def assert_results_are_in_the_bucket(status, folder, photos):
    """The bucket holds the outputs that the status names, and the report says where credentials came from."""
    path = status["outputs"]["path"]
    assert path == f"s3://results/output/.lightly/runs/{status['job']['name']}/"
    run = folder / path.removeprefix("s3://results/")
    report = json.loads((run / "report.json").read_bytes())
    information = report["generalInformation"]["runInformation"]
    assert information["credentials"] == {
        "input": "Secret reads (secret access key)",
        "lightly": "Secret writes (secret access key)",
    }
    assert information["inputUrl"] == "s3://photographs/input/"
    chosen = (run / "filenames/sampled_filenames_excluding_datapool.txt").read_text().splitlines()
    assert len(chosen) == status["counts"]["selected"] > 0
    assert set(chosen) <= set(photos.readable)
    lines = (run / "data/embeddings.csv").read_text().splitlines()
    assert len(lines) == 1 + len(photos.readable) - len(photos.duplicates)
    assert (run / "report.pdf").stat().st_size > 10_000


def assert_reaches_no_api(pod):
    """The pod holds no token of the API, and Secrets as files only."""
    assert pod["spec"]["automountServiceAccountToken"] is False
    mounts = [mount["mountPath"] for each in pod["spec"]["containers"] for mount in each["volumeMounts"]]
    assert not any("serviceaccount" in path for path in mounts)
    assert not any("valueFrom" in variable for each in pod["spec"]["containers"] for variable in each.get("env", []))


def assert_reads_no_secrets(cluster, operator, namespace):
    """The operator's account may not read Secrets where the run is."""
    (pod,) = cluster.get("-n", operator, "pods", "-l", "app.kubernetes.io/instance=selection")["items"]
    account = f"system:serviceaccount:{operator}:{pod['spec']['serviceAccountName']}"
    rights = {"create jobs.batch": "yes", **dict.fromkeys(("get secrets", "list secrets", "watch secrets"), "no")}
    for right, expected in rights.items():
        asked = ["-n", namespace, "auth", "can-i", *right.split(), f"--as={account}"]
        assert cluster.kubectl(*asked, check=False).stdout.strip() == expected, right
