"""examples/: the seed's four calls, verbatim, and the quickstart."""

from pathlib import Path

import pytest
import yaml

from selection_api import accepted_without_effect, parse_manifest
from selection_job.manifest.reading import read_manifest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BUCKETS = {"s3": "s3://bucket/", "gcs": "gs://bucket/", "azure": "my-container/"}
NAMES = [
    "simple",
    "training",
    "lightly-parameters",
    "relevant-filenames",
    "quickstart",
    "embeddings",
    "pretagging",
    "datapool",
    "sequences",
    "videos",
    "encoder",
    "text-query",
    "zero-shot",
]

SIMPLE = {
    "enable_corruptness_check": True,
    "remove_exact_duplicates": True,
    "enable_training": False,
    "pretagging": False,
    "pretagging_debug": False,
    "method": "coreset",
    "stopping_condition": {"n_samples": 0.1, "min_distance": -1},
    "scorer": "object-frequency",
    "scorer_config": {"frequency_penalty": 0.25, "min_score": 0.9},
    "active_learning": {"task_name": "", "score_name": "uncertainty_margin"},
    "object_level": {"task_name": ""},
}
LIGHTLY = {
    "loader": {"batch_size": 16, "shuffle": True, "num_workers": -1, "drop_last": True},
    "model": {"name": "resnet-18", "out_dim": 128, "num_ftrs": 32, "width": 1},
    "trainer": {"gpus": 1, "max_epochs": 100, "precision": 32},
    "criterion": {"temperature": 0.5},
    "optimizer": {"lr": 1, "weight_decay": 0.00001},
    "collate": {
        "input_size": 64,
        "cj_prob": 0.8,
        "cj_bright": 0.7,
        "cj_contrast": 0.7,
        "cj_sat": 0.7,
        "cj_hue": 0.2,
        "min_scale": 0.15,
        "random_gray_scale": 0.2,
        "gaussian_blur": 0.5,
        "kernel_size": 0.1,
        "vf_prob": 0,
        "hf_prob": 0.5,
        "rr_prob": 0,
    },
}
SEED = {
    "simple": (SIMPLE, None),
    "training": (SIMPLE | {"enable_training": True}, None),
    "lightly-parameters": (SIMPLE | {"enable_training": True}, LIGHTLY),
    "relevant-filenames": (SIMPLE | {"relevant_filenames_file": ".lightly/relevant_filenames.txt"}, None),
}


@pytest.mark.parametrize("name", SEED)
def test_example_holds_the_seeds_values(name):
    spec = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())["spec"]
    assert (spec["workerConfig"], spec.get("lightlyConfig")) == SEED[name]


@pytest.mark.parametrize("name", NAMES)
def test_example_runs_in_this_version(name):
    run = read_manifest(EXAMPLES / f"{name}.yaml")
    assert run.metadata.name == name
    folder = "videos/" if run.spec.dataset.type == "VIDEOS" else "input/"
    assert run.spec.datasources.input.resource_path == f"/tmp/selection-demo/{folder}"
    assert run.spec.datasources.lightly.resource_path == "/tmp/selection-demo/output/"


@pytest.mark.parametrize(("name", "place"), BUCKETS.items())
def test_example_of_a_bucket_runs_in_this_version(name, place):
    datasources = read_manifest(EXAMPLES / f"{name}.yaml").spec.datasources
    for datasource, folder in ((datasources.input, "input/"), (datasources.lightly, "output/")):
        assert datasource.type == name.upper()
        assert (datasource.resource_path or datasource.container_name) == place + folder
        assert datasource.credentials_secret_ref is not None


@pytest.mark.parametrize("name", [*NAMES, *BUCKETS])
def test_yaml_means_the_same_to_other_readers(name):
    """No word in the examples depends on how YAML is read."""
    path = EXAMPLES / f"{name}.yaml"
    assert parse_manifest(yaml.safe_load(path.read_text())) == read_manifest(path)


def test_seed_examples_say_what_changes_nothing():
    notes = accepted_without_effect(read_manifest(EXAMPLES / "lightly-parameters.yaml").spec)
    keys = [note.split(" has no effect")[0].rpartition("Config.")[2] for note in notes]
    assert keys == ["scorer", "scorer_config", "active_learning", "object_level", "collate.kernel_size"]


def test_every_file_in_examples_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == {*NAMES, *BUCKETS, "cluster"}


def test_example_of_a_cluster_runs_in_this_version():
    datasources = read_manifest(EXAMPLES / "cluster.yaml").spec.datasources
    claims = {each.persistent_volume_claim.claim_name for each in (datasources.input, datasources.lightly)}
    assert claims == {"my-data"}


def test_quickstart_trains_shortly_without_the_zoo():
    run = read_manifest(EXAMPLES / "quickstart.yaml")
    config = run.spec.lightly_config
    assert (run.spec.worker_config.enable_training, config.pre_trained) == (True, False)
    assert config.trainer.max_epochs <= 2
