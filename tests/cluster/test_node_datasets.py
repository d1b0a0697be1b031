"""Runs of a dataset, one after the other and at once, and a run over videos, in the job's own image on a node."""

import io
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from demo_scenes import EXAMPLES, assert_every_scene, make_dataset
from painted_videos import make_video, read_number
from PIL import Image

from selection_job.catalog.frame_names import parse_frame_name
from selection_job.datapool.pool_part import parse_part

POOL = {"use_datapool": True, "stopping_condition": {"n_samples": 3}, "exports": []}
QUICK = {"n_example_images": 0}


@pytest.fixture
def put(volume, tmp_path):
    """Return a function that puts files (name: bytes) below a folder of the volume."""

    def put(place, files):
        folder = tmp_path / f"files-{len(list(tmp_path.iterdir()))}"
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        volume.put(folder, place)

    return put


@pytest.fixture
def ready(put, checkpoint):
    put(".lightly", {"start.ckpt": checkpoint.read_bytes()})


def pictures(start, n):
    """Images of noise on a colour each, so that all differ."""
    made = {}
    for number in range(start, start + n):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 80, (32, 32, 3)) + rng.integers(0, 175, 3)
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        made[f"{number:02}.png"] = buffer.getvalue()
    return made


def folder_of(volume_copy, name):
    (found,) = (volume_copy / ".lightly/runs").glob(f"{name}-*")
    return found


def selected_in(folder):
    return (folder / "filenames/sampled_filenames_excluding_datapool.txt").read_text().splitlines()


@pytest.mark.usefixtures("ready")
def test_runs_of_one_dataset_go_on_from_each_other_and_two_at_once_lose_nothing(
    runs, volume, put, make_cluster_manifest, tmp_path
):
    def make(**worker):
        return make_cluster_manifest(dataset={"name": "cameras"}, workerConfig={**QUICK, **POOL, **worker})

    put("input", pictures(0, 8))
    runs.apply(make(), "monday")
    assert runs.wait_for_phase("monday", "Complete", 120)["counts"]["input"] == 8
    put("input", pictures(8, 5))
    for name in ("left", "right"):
        runs.apply(make(datasource={"process_all": True}), name)
    for name in ("left", "right"):
        runs.wait_for_phase(name, "Complete", 180)
    copy = volume.get(".", tmp_path / "copy")
    parts = [parse_part(path.read_bytes()) for path in (copy / ".lightly/datapool/cameras").glob("*.npz")]
    before = []
    for number, part in enumerate(sorted(parts, key=lambda part: part.header.number), start=1):
        assert part.header.number == number
        folder = copy / ".lightly/runs" / part.header.run_id
        assert part.names == selected_in(folder)
        before += part.names
        if number > 1:
            assert names_in(folder / "data/selected_embeddings_including_datapool.csv") == before
    assert len(before) == len(set(before)) == 9


def names_in(table):
    return [line.partition(",")[0] for line in table.read_text().splitlines()[1:]]


def test_the_first_example_ends_complete_from_the_chart_and_picks_every_scene(
    runs, volume, make_cluster_manifest, tmp_path
):
    folder = tmp_path / "demo"
    make_dataset(folder, tmp_path / "lists")
    volume.put(folder, "input")
    example = yaml.safe_load((EXAMPLES / "simple.yaml").read_text(encoding="utf-8"))
    placed = make_cluster_manifest()["spec"]
    example["spec"] |= {key: placed[key] for key in ("datasources", "resources", "backoffLimit")}
    runs.apply(example, "simple")
    assert runs.wait_for_phase("simple", "Complete", 300)["counts"]["selected"] == 40
    run = folder_of(volume.get(".", tmp_path / "copy"), "simple")
    assert_every_scene(folder, selected_in(run))
    encoder = json.loads((run / "report.json").read_bytes())["generalInformation"]["runInformation"]["encoder"]
    assert encoder["source"] == "built in"


@pytest.mark.usefixtures("ready")
def test_a_run_over_videos_ends_with_the_frames_that_its_names_say(runs, volume, put, make_cluster_manifest, tmp_path):
    videos = {"cam/a.mp4": make_video(30, "libx264"), "b.webm": make_video(20, "libvpx-vp9"), "broken.mp4": b"no video"}
    put("input", videos)
    dataset = {"name": "drives", "type": "VIDEOS", "everyNthFrame": 5}
    worker = {**QUICK, "remove_exact_duplicates": False, "stopping_condition": {"n_samples": 4}}
    runs.apply(make_cluster_manifest(dataset=dataset, workerConfig=worker), "videos")
    counts = runs.wait_for_phase("videos", "Complete", 120)["counts"]
    assert (counts["input"], counts["selected"]) == (10, 4)
    folder = folder_of(volume.get(".", tmp_path / "copy"), "videos")
    assert (folder / "filenames/corrupt_videos.txt").read_text() == "broken.mp4\n"
    selected = selected_in(folder)
    for name in selected:
        with Image.open(folder / "data/sampled" / name) as image:
            assert read_number(image) == parse_frame_name(name)[1]
    assert pq.read_table(folder / "exports/selected.parquet").column("filename").to_pylist() == selected
    assert json.loads((folder / "report.json").read_bytes())["videoInformation"]["nLookedAt"] == 10
