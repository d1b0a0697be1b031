"""Tiles and given crops: strategies over the embeddings of parts of the images, without any predictions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from selection_api import parse_manifest
from selection_job.catalog.listing import list_images
from selection_job.encoder.embedding import embed_pixels
from selection_job.errors import StorageUnavailable
from selection_job.numeric.greedy.objectives import Diversity
from selection_job.numeric.strategies import select
from selection_job.objects.object_boxes import make_wanted_boxes
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up
from selection_job.selection.vectors import normalize_rows
from selection_job.stages.embedding import embed_images
from selection_job.stages.encoder import load_encoder_for_run

TILES = {"type": "TILING", "name": "tiles", "num_rows": 2, "num_cols": 3, "overlap": 0.25}
CORNER = {"type": "CROP", "name": "corner", "bboxs": [[0, 0, 0.5, 0.5]]}


def config(*tasks, named=None, n_samples=10, kind="DIVERSITY"):
    strategies = [
        {"input": {"type": "EMBEDDINGS", "task": name}, "strategy": {"type": kind}}
        for name in named or [task["name"] for task in tasks]
    ]
    return {"n_samples": n_samples, "strategies": strategies, "auto_tasks": list(tasks)}


@pytest.fixture
def make_tiled(photos, make_manifest):
    """Return a function selectionConfig -> manifest."""
    return lambda selection: make_manifest(
        photos.folder, selectionConfig=selection, workerConfig={"stopping_condition": None}
    )


def prepare(manifest, scratch):
    scratch.mkdir(exist_ok=True)
    return set_up(parse_manifest(manifest), scratch, Progress(quiet=True))


def cut_by_hand(path, boxes, size_px):
    """Return the crops of one image as Pillow makes them, boxes being x0, y0, x1, y1 relative."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    found = []
    for x0, y0, x1, y1 in boxes:
        box = (
            int(np.floor(x0 * image.width + 1e-6)), int(np.floor(y0 * image.height + 1e-6)),
            int(np.ceil(x1 * image.width - 1e-6)), int(np.ceil(y1 * image.height - 1e-6)),
        )  # fmt: skip
        found.append(np.asarray(image.crop(box).resize((size_px, size_px), Image.Resampling.BILINEAR)))
    return found


@pytest.mark.slow
def test_tiles_are_embedded_and_chosen_as_if_cut_out_by_hand(photos, make_tiled, run_manifest, tmp_path):
    manifest = make_tiled(config(TILES))
    outcome = run_manifest(manifest, drawn=True)
    place = prepare(manifest, tmp_path / "again")
    listing = list_images(place.source, place.target)
    encoder = load_encoder_for_run(place)
    embedded = embed_images(place, listing, encoder, make_wanted_boxes(place.spec, len(listing.names), {}))
    (crops,) = embedded.crops
    size = 1 / (1 + 2 * 0.75), 1 / (1 + 0.75)
    boxes = [
        (x * 0.75 * size[0], y * 0.75 * size[1], x * 0.75 * size[0] + size[0], y * 0.75 * size[1] + size[1])
        for y in range(2)
        for x in range(3)
    ]
    names = embedded.catalog.names
    pixels = [
        crop for name in names for crop in cut_by_hand(Path(photos.folder, name), boxes, encoder.preprocessing.size_px)
    ]
    vectors = np.concatenate(list(embed_pixels(encoder, [np.stack(pixels)], device=torch.device("cpu"))))
    assert crops.image_rows.tolist() == np.repeat(np.arange(len(names)), 6).tolist()
    assert crops.vectors == pytest.approx(vectors, abs=1e-4)
    kept = np.flatnonzero(~embedded.catalog.is_duplicate)
    places = np.searchsorted(kept, crops.image_rows)
    is_kept = ~embedded.catalog.is_duplicate[crops.image_rows]
    diversity = Diversity(normalize_rows(crops.vectors[is_kept]), owners=places[is_kept])
    expected = [names[kept[row]] for row in select(len(kept), [diversity], 10).indices]
    assert outcome.selected == expected


def test_two_tasks_and_whole_images_are_combined(make_tiled, run_manifest):
    both = config(TILES, CORNER, n_samples=5)
    both["strategies"].append({"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}})
    outcome = run_manifest(make_tiled(both))
    names = [strategy["name"] for strategy in outcome.report["selectionInformation"]["strategies"]]
    assert names == ["DIVERSITY on EMBEDDINGS tiles", "DIVERSITY on EMBEDDINGS corner", "DIVERSITY on EMBEDDINGS"]
    assert len(outcome.selected) == 5


def test_typicality_of_tiles_selects(make_tiled, run_manifest):
    outcome = run_manifest(make_tiled(config(CORNER, kind="TYPICALITY", n_samples=4)))
    assert len(outcome.selected) == 4


def test_a_task_that_no_strategy_names_is_not_embedded_and_said_to_have_no_effect(make_tiled, run_manifest):
    plain = config(CORNER, n_samples=4)
    plain["strategies"] = [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]
    outcome = run_manifest(make_tiled(plain))
    assert "spec.selectionConfig.auto_tasks[0] has no effect: no strategy names corner" in outcome.report_notes


def test_kept_crops_are_used_again_and_other_tiles_are_cut_anew(make_tiled, tmp_path, monkeypatch):
    def run_to_the_end_of_embedding(selection, name):
        place = prepare(make_tiled(selection), tmp_path / name)
        monkeypatch.setattr("selection_job.pipeline.choose_images", fail)
        with pytest.raises(StorageUnavailable, match="here it ends"):
            run_pipeline(place)
        return place.source.bytes_read

    def fail(*arguments):
        raise StorageUnavailable("here it ends")

    assert run_to_the_end_of_embedding(config(TILES), "first") > 0
    assert run_to_the_end_of_embedding(config(TILES), "second") == 0
    assert run_to_the_end_of_embedding(config({**TILES, "num_rows": 1}), "other") > 0
