"""One run over the photos, trained from scratch: every file of the output tree, opened and read."""

import csv
import io
import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightly.utils.io import load_embeddings
from PIL import Image

from selection_api import parse_manifest
from selection_job.numeric.farthest_first import farthest_first
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

pytestmark = pytest.mark.slow

TREE = [
    "config/config.yaml",
    "config/hydra.yaml",
    "config/overrides.yaml",
    "data/clean.csv",
    "data/corruptness_check_information.json",
    "data/embeddings.csv",
    "data/embeddings_all.csv",
    "data/encoder.json",
    "data/normalized_embeddings.csv",
    "data/selected_embeddings.csv",
    "data/selection.csv",
    "exports/coco.json",
    "exports/cvat/manifest.jsonl",
    "exports/embeddings.parquet",
    "exports/fiftyone/metadata.json",
    "exports/fiftyone/samples.json",
    "exports/label-studio-tasks.json",
    "exports/selected.parquet",
    "filenames/corrupt_filenames.txt",
    "filenames/duplicate_filenames.txt",
    "filenames/removed_filenames.txt",
    "filenames/sampled_filenames_excluding_datapool.txt",
    "last.ckpt",
    "lightly_epoch_0.ckpt",
    "plots/coverage.png",
    "plots/distance_distr_after.png",
    "plots/distance_distr_before.png",
    "plots/filter_decision_0.png",
    "plots/filter_decision_11.png",
    "plots/filter_decision_22.png",
    "plots/filter_decision_33.png",
    "plots/filter_decision_44.png",
    "plots/filter_decision_55.png",
    "plots/scatter_pca.png",
    "plots/scatter_pca_no_overlay.png",
    "plots/scatter_umap_k_15.png",
    "plots/scatter_umap_k_15_no_overlay.png",
    "plots/scatter_umap_k_5.png",
    "plots/scatter_umap_k_5_no_overlay.png",
    "plots/scatter_umap_k_50.png",
    "plots/scatter_umap_k_50_no_overlay.png",
    "report.html",
    "report.json",
    "report.pdf",
]

MANIFEST = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "whole-tree"},
    "spec": {
        "workerConfig": {"enable_training": True, "stopping_condition": {"n_samples": 0.25}, "dump_dataset": True},
        "lightlyConfig": {
            "pre_trained": False,
            "model": {"name": "resnet-9", "width": 0.25, "num_ftrs": 16},
            "collate": {"input_size": 32},
            "loader": {"batch_size": 8, "num_workers": 0},
            "trainer": {"gpus": 0, "max_epochs": 1},
        },
    },
}


@pytest.fixture(scope="module")
def output(photos, tmp_path_factory):
    """The folder of the finished run, its manifest and summary."""
    base = tmp_path_factory.mktemp("run")
    (base / "output").mkdir()
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["spec"]["datasources"] = {
        "input": {"type": "LOCAL", "resourcePath": str(photos.folder)},
        "lightly": {
            "type": "LOCAL",
            "resourcePath": str(base / "output"),
            "thumbnailSuffix": ".lightly/thumbnails/[filename]_thumb.[extension]",
        },
    }
    place = set_up(parse_manifest(manifest), base, Progress(quiet=True))
    summary = run_pipeline(place)
    return Path(place.target.url) / place.run_key, manifest, summary


@pytest.fixture(scope="module")
def folder(output):
    return output[0]


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_bytes())


@pytest.fixture(scope="module")
def embeddings(folder):
    return load_embeddings(str(folder / "data/embeddings.csv"))


def lines(folder, name):
    return (folder / "filenames" / name).read_text(encoding="utf-8").splitlines()


def test_the_tree_holds_every_file_of_the_worker_and_no_stages(folder):
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    dumped = [name for name in found if name.startswith(("data/sampled/", "data/clean/"))]
    assert sorted(set(found) - set(dumped)) == sorted(TREE)


def test_counts_add_up_and_are_the_same_everywhere(output, photos, report):
    counts = output[2].counts
    assert (counts.input, counts.corrupt, counts.duplicate) == (photos.total, len(photos.corrupt), 3)
    assert counts.selected == int(0.25 * photos.total)
    assert counts.input == counts.corrupt + counts.duplicate + counts.selected + counts.removed
    assert report["summary"]["counts"] == counts.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_name_lists_tell_what_is_in_the_folder(folder, photos):
    sampled, removed = lines(folder, "sampled_filenames_excluding_datapool.txt"), lines(folder, "removed_filenames.txt")
    assert lines(folder, "corrupt_filenames.txt") == photos.corrupt
    assert lines(folder, "duplicate_filenames.txt") == sorted(photos.duplicates)
    assert sorted([*sampled, *removed, *photos.duplicates]) == photos.readable


def test_embeddings_are_there_without_and_with_duplicates(folder, photos, embeddings):
    without = [name for name in photos.readable if name not in photos.duplicates]
    assert embeddings[2] == without
    vectors, _, names = load_embeddings(str(folder / "data/embeddings_all.csv"))
    assert names == photos.readable
    np.testing.assert_array_equal(vectors[names.index("zz copy 1.jpg")], vectors[names.index("walk 0/frame_0.jpg")])


def test_normalized_and_selected_embeddings_follow_from_embeddings(folder, embeddings):
    vectors, _, names = embeddings
    normalized = load_embeddings(str(folder / "data/normalized_embeddings.csv"))[0]
    selected, _, selected_names = load_embeddings(str(folder / "data/selected_embeddings.csv"))
    np.testing.assert_allclose(normalized, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)
    assert selected_names == lines(folder, "sampled_filenames_excluding_datapool.txt")
    np.testing.assert_array_equal(selected, vectors[[names.index(name) for name in selected_names]])


def test_the_selection_is_the_farthest_first_order_of_the_published_embeddings(folder, embeddings):
    normalized, _, names = load_embeddings(str(folder / "data/normalized_embeddings.csv"))
    sampled = lines(folder, "sampled_filenames_excluding_datapool.txt")
    indices, _ = farthest_first(normalized.astype(np.float32), len(sampled))
    assert [names[row] for row in indices] == sampled


def test_clean_csv_gives_hash_bytes_and_size_of_every_readable_image(folder, photos):
    rows = list(csv.DictReader(io.StringIO((folder / "data/clean.csv").read_text(encoding="utf-8"), newline="")))
    assert [row["filename"] for row in rows] == photos.readable
    for row in rows:
        content = (photos.folder / row["filename"]).read_bytes()
        assert (row["sha256"], row["bytes"]) == (sha256(content).hexdigest(), str(len(content)))
        assert (row["width_px"], row["height_px"]) == ("72", "72")


def test_dump_dataset_copies_the_selected_and_the_clean_images(folder, photos):
    for kind, names in {
        "sampled": lines(folder, "sampled_filenames_excluding_datapool.txt"),
        "clean": photos.readable,
    }.items():
        copies = {
            str(p.relative_to(folder / "data" / kind)): p for p in (folder / "data" / kind).rglob("*") if p.is_file()
        }
        assert sorted(copies) == sorted(names)
        assert all(copies[name].read_bytes() == (photos.folder / name).read_bytes() for name in names)


def test_each_selected_image_has_a_thumbnail_of_at_most_128_px(output):
    folder = output[0]
    root = folder.parents[2] / ".lightly/thumbnails"
    for name in lines(folder, "sampled_filenames_excluding_datapool.txt"):
        stem, _, extension = name.rpartition(".")
        with Image.open(root / f"{stem}_thumb.{extension}") as image:
            assert max(image.size) <= 128


def test_overrides_are_what_the_user_set_and_config_is_everything(output):
    folder, manifest, _ = output
    overrides = yaml.safe_load((folder / "config/overrides.yaml").read_text())
    config = yaml.safe_load((folder / "config/config.yaml").read_text())
    assert overrides == manifest
    assert config["spec"]["lightlyConfig"]["optimizer"] == {"lr": 1.0, "weight_decay": 1e-5}
    assert parse_manifest(config).spec.worker_config.stopping_condition.n_samples.resolve(100) == 25


def test_hydra_yaml_names_the_run_and_the_versions(output):
    settings = yaml.safe_load((output[0] / "config/hydra.yaml").read_text())["hydra"]
    assert settings["job"]["id"] == output[0].name
    assert settings["runtime"]["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_the_checkpoint_loads_with_weights_only(folder):
    state = torch.load(folder / "lightly_epoch_0.ckpt", weights_only=True)["state_dict"]
    assert state["model.backbone.7.weight"].shape[0] == 16


def test_report_json_has_the_durations_of_each_stage_and_the_bytes_read(report, photos):
    general = json.dumps(report["generalInformation"])
    for stage in ("LOADING_DATASET", "CHECKING_CORRUPTNESS", "TRAINING", "EMBEDDING", "SAMPLING"):
        assert stage in general


def test_every_corrupt_image_has_its_reason_in_the_report(report, photos):
    text = json.dumps(report, ensure_ascii=False)
    assert all(name in text for name in photos.corrupt)


def test_running_it_again_finds_it_finished_and_writes_nothing(output, photos, tmp_path):
    folder, manifest, summary = output
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    place = set_up(parse_manifest(manifest), tmp_path, Progress(quiet=True))
    assert run_pipeline(place) == summary
    assert place.source.bytes_read == 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_second_run_elsewhere_gives_the_same_bytes(output, photos, tmp_path):
    folder, manifest, _ = output
    manifest = json.loads(json.dumps(manifest))
    shutil.rmtree(tmp_path / "output", ignore_errors=True)
    (tmp_path / "output").mkdir()
    manifest["spec"]["datasources"]["lightly"]["resourcePath"] = str(tmp_path / "output")
    (tmp_path / "scratch").mkdir()
    place = set_up(parse_manifest(manifest), tmp_path / "scratch", Progress(quiet=True))
    run_pipeline(place)
    again = Path(place.target.url) / place.run_key
    same = [name for name in TREE if name.startswith(("data/", "filenames/", "plots/"))]
    assert [name for name in same if (again / name).read_bytes() != (folder / name).read_bytes()] == []
