"""Manifests from Python's keyword arguments, and the examples of docs/python.md."""

import re
from pathlib import Path

import pytest

from selection_api import ManifestError, parse_manifest
from selection_api.from_python import (
    azure_datasource,
    gcs_datasource,
    local_datasource,
    make_manifest,
    s3_datasource,
)

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = ".lightly/thumbnails/[filename]_thumb.[extension]"
WORKER = {"stopping_condition": {"n_samples": 0.1, "min_distance": -1}}
FOLDER = local_datasource(resource_path="/data/cats/")


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (
            s3_datasource(
                resource_path="s3://bucket/input/",
                region="eu-central-1",
                credentials_secret="read",
                thumbnail_suffix=SUFFIX,
            ),
            {
                "type": "S3",
                "resourcePath": "s3://bucket/input/",
                "region": "eu-central-1",
                "credentialsSecretRef": {"name": "read"},
                "thumbnailSuffix": SUFFIX,
            },
        ),
        (
            gcs_datasource(resource_path="gs://bucket/input/", project_id="project-id"),
            {"type": "GCS", "resourcePath": "gs://bucket/input/", "projectId": "project-id"},
        ),
        (
            azure_datasource(container_name="my-container/input/", account_name="account1", credentials_secret="read"),
            {
                "type": "AZURE",
                "containerName": "my-container/input/",
                "accountName": "account1",
                "credentialsSecretRef": {"name": "read"},
            },
        ),
        (
            local_datasource(resource_path="/data", claim_name="images", read_only=True),
            {
                "type": "LOCAL",
                "resourcePath": "/data",
                "persistentVolumeClaim": {"claimName": "images", "readOnly": True},
            },
        ),
    ],
    ids=["S3", "GCS", "AZURE", "LOCAL"],
)
def test_datasource_holds_what_was_said(made, written):
    assert made == written
    parse_manifest(make_manifest("cats", input=made, lightly=FOLDER, worker_config=WORKER))


def test_manifest_holds_what_was_set_and_nothing_else():
    manifest = make_manifest(
        "cats",
        input=FOLDER,
        lightly=FOLDER,
        dataset={"name": "cats", "type": "IMAGES"},
        worker_config=WORKER | {"checkpoint": None},
        lightly_config={"collate": {"sigmas": (0.2, 2)}},
        labels={"kueue.x-k8s.io/queue-name": "gpu"},
        suspend=True,
    )
    assert manifest["metadata"] == {"name": "cats", "labels": {"kueue.x-k8s.io/queue-name": "gpu"}}
    assert manifest["spec"] == {
        "dataset": {"name": "cats", "type": "IMAGES"},
        "datasources": {"input": FOLDER, "lightly": FOLDER},
        "workerConfig": WORKER,
        "lightlyConfig": {"collate": {"sigmas": [0.2, 2.0]}},
        "suspend": True,
    }


def test_selection_config_takes_the_place_of_the_legacy_form():
    strategies = [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]
    config = {"n_samples": 10, "strategies": strategies}
    manifest = make_manifest("cats", input=FOLDER, lightly=FOLDER, selection_config=config)
    assert manifest["spec"]["selectionConfig"] == config


def test_everything_wrong_comes_in_one_error():
    with pytest.raises(ManifestError) as caught:
        make_manifest("Cats", input=FOLDER, lightly=FOLDER, worker_config=WORKER | {"methd": 1}, backofflimit=3)
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {"metadata.name", "spec.workerConfig.methd", "spec.backofflimit"}


@pytest.mark.parametrize("argument", ["access_key", "secret_access_key"])
def test_credentials_are_no_arguments(argument):
    with pytest.raises(TypeError, match=argument):
        s3_datasource(resource_path="s3://b/", region="eu", **{argument: "x"})


DOCUMENTED = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.DOTALL)


def test_documented_manifest_is_made():
    namespace = {}
    exec(DOCUMENTED[0][1], namespace)
    run = parse_manifest(namespace["manifest"])
    assert run.spec.datasources.input.credentials_secret_ref.name == "dashcam-read"
    assert run.spec.lightly_config.trainer.max_epochs == 50


def test_documented_error_is_what_is_printed(capsys):
    exec(DOCUMENTED[1][1], {})
    assert capsys.readouterr().out == DOCUMENTED[2][1]
