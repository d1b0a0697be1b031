"""Runs that look for something: by example images with the run's own encoder, and beside a given table."""

import json
import shutil

import numpy as np
import pytest
from lightly.utils.io import load_embeddings
from PIL import Image
from tiny_clip import COLOURS, LIGHTS, SHAPES, draw

from selection_job.errors import UnusableData

MANIFEST = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "holes"},
}
HOLES = {"type": "QUERIES", "images": ".lightly/queries/holes"}


def write_scenes(folder, n=12, seed=3):
    """Write pictures of every colour, shape and light, named by them."""
    rng = np.random.default_rng(seed)
    scenes = [(c, s, light) for light in LIGHTS for s in SHAPES for c in COLOURS]
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        scene = scenes[(7 * i) % len(scenes)]
        name = f"{i:03} {' '.join(scene)}.png"
        Image.fromarray(draw(*scene, rng)).resize((96, 96)).save(folder / name)


@pytest.fixture
def place(tmp_path):
    """Folders with 12 pictures, and a query that shows two of them, beside a file that is none."""
    write_scenes(tmp_path / "input")
    folder = tmp_path / "lightly/.lightly/queries/holes"
    folder.mkdir(parents=True)
    for path in sorted((tmp_path / "input").iterdir())[4:6]:
        shutil.copy(path, folder / path.name)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "readme.txt").write_text("what we look for")
    return tmp_path


def make(place, *strategies, n_samples=3, **worker):
    folders = {purpose: {"type": "LOCAL", "resourcePath": str(place / purpose)} for purpose in ("input", "lightly")}
    config = {"n_samples": n_samples, "strategies": list(strategies)}
    spec = {
        "datasources": folders,
        "workerConfig": {"encoder": "BUILT_IN", **worker},
        "lightlyConfig": {"trainer": {"gpus": 0}},
        "selectionConfig": config,
    }
    return {**MANIFEST, "spec": spec}


def similar(given, **strategy):
    return {"input": given, "strategy": {"type": "SIMILARITY", **strategy}}


def above(given, threshold, operation="BIGGER_EQUAL"):
    return {"input": given, "strategy": {"type": "THRESHOLD", "threshold": threshold, "operation": operation}}


def read_table(done):
    """Return the names and the vectors of unit length that a run embedded."""
    vectors, _, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    return names, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_example_images_are_looked_for_by_the_formula_of_similarity(place, run_manifest):
    done = run_manifest(make(place, similar(HOLES)))
    names, vectors = read_table(done)
    distances = np.linalg.norm(vectors[:, None] - vectors[None, 4:6], axis=2).min(axis=1)
    values = np.exp(-distances / distances.mean())
    best = np.argsort(-values, kind="stable")[:5]
    (query,) = done.report["queries"]
    assert query["folder"] == ".lightly/queries/holes/"
    assert [hit["filename"] for hit in query["hits"]] == [names[row] for row in best]
    np.testing.assert_allclose([hit["value"] for hit in query["hits"]], values[best], atol=1e-3)
    assert sorted(done.selected[:2]) == names[4:6]
    assert any("1 image of the query .lightly/queries/holes/ can't be used" in note for note in done.report_notes)


def test_a_threshold_on_example_images_compares_cosines_whatever_normalize_embeddings_says(place, run_manifest):
    done = run_manifest(make(place, above(HOLES, 0.9), n_samples=12, normalize_embeddings=False))
    names, vectors = read_table(done)
    cosines = (vectors @ vectors[4:6].T).max(axis=1)
    assert sorted(done.selected) == [name for name, cosine in zip(names, cosines, strict=True) if cosine >= 0.9]
    assert 2 <= len(done.selected) < 12


def test_a_threshold_that_keeps_nothing_ends_with_the_best_and_their_values(place, run_manifest):
    with pytest.raises(UnusableData) as caught:
        run_manifest(make(place, above(HOLES, 1.0, "BIGGER")))
    told = str(caught.value).removeprefix("spec.selectionConfig.strategies[0]: ")
    assert told.startswith("THRESHOLD keeps no image: the best has 1 for images of .lightly/queries/holes/. The best: ")
    assert told.count(".png (") == 5


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "holds no image. Put those that show what is looked for there"),
        ({"a.png": b"no picture"}, "can be read: 'a.png' ("),
        ({f"{i}.png": b"" for i in range(1001)}, "holds 1,001 images; a query takes 1,000"),
    ],
)
def test_a_query_without_images_that_can_be_used_is_told_with_its_place(place, run_manifest, files, sentence):
    folder = place / "lightly/.lightly/queries/holes"
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(UnusableData, match=r"spec.selectionConfig.strategies\[0\].input.images") as caught:
        run_manifest(make(place, similar(HOLES)))
    assert sentence in str(caught.value)


def test_a_table_is_asked_with_the_encoder_that_made_it_and_no_other(place, run_manifest):
    first = run_manifest(make(place, similar(HOLES)))
    table = str((first.folder / "data/embeddings.csv").relative_to(place / "lightly"))
    record = json.loads((first.folder / "data/encoder.json").read_bytes())
    assert set(record) == {"fingerprint", "source", "dimensions"}
    again = run_manifest(make(place, similar(HOLES), embeddings=table))
    assert again.selected == first.selected
    assert not any("could not be checked" in note for note in again.report_notes)
    assert json.loads((again.folder / "data/encoder.json").read_bytes()) == record
    copied = place / "lightly/.lightly/embeddings/mine.csv"
    copied.parent.mkdir()
    shutil.copy(first.folder / "data/embeddings.csv", copied)
    unknown = run_manifest(make(place, similar(HOLES), embeddings="mine.csv"))
    assert unknown.selected == first.selected
    assert any("Nothing beside .lightly/embeddings/mine.csv says" in note for note in unknown.report_notes)
    assert not (unknown.folder / "data/encoder.json").exists()
    copied.with_name("mine.encoder.json").write_text(json.dumps({**record, "fingerprint": "ab" * 32}))
    with pytest.raises(UnusableData, match=r"is not the encoder of \.lightly/embeddings/mine\.csv"):
        run_manifest(make(place, similar(HOLES), embeddings="mine.csv"))


def test_another_query_image_makes_a_finished_run_run_again(place, run_manifest):
    manifest = make(place, similar(HOLES), n_samples=1)
    assert run_manifest(manifest).selected[0].startswith(("004", "005"))
    folder = place / "lightly/.lightly/queries/holes"
    for path in folder.glob("00*.png"):
        path.unlink()
    shutil.copy(sorted((place / "input").iterdir())[9], folder / "9.png")
    assert run_manifest(manifest).selected[0].startswith("009")
