"""Pretagging: what the detector finds becomes a prediction task, in the run and, where asked for, in the bucket."""

import json
import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import street_scenes
import yaml
from PIL import Image
from stopping_bar import StoppingBar

from selection_api import check_supported, parse_manifest
from selection_job.catalog.catalog import Listing
from selection_job.catalog.listing import list_images
from selection_job.errors import Stopped, UnusableData
from selection_job.manifest.data_needs import find_needs
from selection_job.manifest.goal import make_goal
from selection_job.process.progress import Progress
from selection_job.reading.images import ReadOptions, read_images
from selection_job.run.context import set_up
from selection_job.stages import pretagging as pretagging_stage
from selection_job.stages.pretagging import SCHEMA, pretag_images
from selection_job.stages.sources import list_source_versions

# slow: where the cache has no detector yet, one is trained
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TASK = "lightly_pretagging"
CHECKPOINT = ".lightly/detectors/streets.pth"
CONFIG = {"checkpoint": CHECKPOINT, "input_size": street_scenes.INPUT_SIZE}
FOLDER = ".lightly/predictions/lightly_pretagging"


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """A folder and name -> (categories, boxes): 12 scenes, an exact copy, two corrupt files, a picture of one pixel."""
    folder, truth = tmp_path_factory.mktemp("streets"), {}
    random = np.random.default_rng(3)
    for i in range(12):
        categories = [["car", "person"], ["car", "car"], ["person"], ["train"]][i % 4]
        picture, boxes = street_scenes.make_scene(random, categories)
        name = f"cam {i % 2}/scene_{i:02}.{'jpg' if i % 3 else 'png'}"
        (folder / name).parent.mkdir(exist_ok=True)
        picture.save(folder / name, quality=95)
        truth[name] = (categories, boxes)
    shutil.copy(folder / "cam 1/scene_01.jpg", folder / "cam 1/copy.jpg")
    truth["cam 1/copy.jpg"] = truth["cam 1/scene_01.jpg"]
    whole = (folder / "cam 1/scene_01.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "one pixel.png")
    truth["one pixel.png"] = ([], np.empty((0, 4)))
    return folder, truth


@pytest.fixture
def make_place(make_manifest, streets, tmp_path):
    """A factory of workplaces over the scenes; keywords go to workerConfig, those of pretagging_config as config."""
    path = tmp_path / "output" / CHECKPOINT
    path.parent.mkdir(parents=True)
    path.symlink_to(street_scenes.find_detector())

    def make(folder=None, progress=None, config=None, **worker):
        scratch = tmp_path / f"scratch-{os.urandom(4).hex()}"
        scratch.mkdir()
        settings = {"pretagging": True, "pretagging_config": {**CONFIG, **(config or {})}, **worker}
        manifest = make_manifest(folder or streets[0], workerConfig=settings)
        return set_up(parse_manifest(manifest), scratch, progress or Progress(quiet=True))

    return make


def list_of(place):
    return list_images(place.source, place.target, relevant_filenames_file="")


def pretag(place):
    return pretag_images(place, list_of(place)).value


def found_on(task, names, name):
    """Return categories and corners in pixels of an image's objects."""
    objects = np.flatnonzero(task.owners == names.index(name))
    categories = [task.categories[i].name for i in task.category_index[objects]]
    return categories, corners(task.boxes_px[objects])


def corners(boxes):
    """Return x0, y0, x1, y1 (n, 4) of boxes x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def overlap(box, boxes):
    """Return the largest intersection over union of a box with any of the boxes."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - common
    return (common / areas).max(initial=0)


def test_the_drawn_objects_are_found_where_they_are(make_place, streets):
    place = make_place()
    names, task = list_of(place).names, pretag(place)
    hits = [
        overlap(box, boxes[[found == category for found in categories]]) >= 0.5
        for name, (truth, truth_boxes) in streets[1].items()
        for categories, boxes in [found_on(task, names, name)]
        for category, box in zip(truth, truth_boxes, strict=True)
    ]
    assert len(hits) == 20
    assert sum(hits) >= 17


def test_the_task_is_one_of_object_detection_with_scores_and_probabilities(make_place):
    place = make_place()
    names, task = list_of(place).names, pretag(place)
    assert (task.name, task.kind) == (TASK, "object-detection")
    assert [category.name for category in task.categories] == [
        "bicycle", "bus", "car", "motorcycle", "person", "train", "truck",
    ]  # fmt: skip
    assert (np.diff(task.owners) >= 0).all()
    assert (task.scores >= 0.5).all()
    np.testing.assert_allclose(task.probabilities.sum(axis=1), 1, atol=1e-5)
    assert [name for name, has in zip(names, task.has_file, strict=True) if not has] == ["cut.jpg", "empty.jpg"]


def test_boxes_lie_within_their_images_and_count_its_own_pixels(make_place, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    picture, boxes = street_scenes.make_scene(np.random.default_rng(8), ["train"])
    picture.resize((800, 600), Image.Resampling.BICUBIC).save(folder / "a.png")
    task = pretag(make_place(folder))
    sure = task.boxes_px[task.scores.argmax()]
    assert overlap(5 * boxes[0], np.array([[*sure[:2], *(sure[:2] + sure[2:])]])) > 0.5
    assert (task.boxes_px[:, :2] >= 0).all()
    assert (task.boxes_px[:, :2] + task.boxes_px[:, 2:] <= np.array([800, 600]) * (1 + 1e-6)).all()


def test_the_fast_decoder_finds_the_same_objects(make_place, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    picture, _ = street_scenes.make_scene(np.random.default_rng(8), ["car", "train"])
    picture.resize((1600, 1200), Image.Resampling.BICUBIC).save(folder / "a.jpg", quality=95)
    exact, fast = (pretag(make_place(folder, decoder=decoder)) for decoder in ("exact", "fast"))
    assert exact.category_index.tolist() == fast.category_index.tolist()
    for box, other in zip(corners(exact.boxes_px), corners(fast.boxes_px), strict=True):
        assert overlap(box, other[None]) > 0.7
    assert not np.array_equal(exact.boxes_px, fast.boxes_px)


def test_the_result_does_not_depend_on_threads_or_parts(make_place, monkeypatch):
    whole = pretag(make_place(num_threads=1))
    monkeypatch.setattr(pretagging_stage, "IMAGES_PER_PART", 4)
    parts = pretag(make_place(num_threads=3))
    for name in ("has_file", "owners", "category_index", "scores", "probabilities", "boxes_px"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))


class StoppingAt(Progress):
    """Raises Stopped when so many units of a bar are done; counts what was done."""

    def __init__(self, n):
        super().__init__(quiet=True)
        self.n = n

    def bar(self, *args, **options):
        self.position_at_start = options.get("done", 0)
        return StoppingBar(super().bar(*args, **options), self.n)


def test_a_run_that_was_cut_off_goes_on_with_the_part_it_was_at(make_place, monkeypatch):
    monkeypatch.setattr(pretagging_stage, "IMAGES_PER_PART", 5)
    with pytest.raises(Stopped):
        pretag(make_place(progress=StoppingAt(12)))
    resumed = StoppingAt(1000)
    place = make_place(progress=resumed)
    task = pretag(place)
    assert resumed.position_at_start == 10
    n = len(task.has_file)
    assert resumed.position.done == n
    again = StoppingAt(1)
    np.testing.assert_array_equal(pretag(make_place(progress=again)).boxes_px, task.boxes_px)
    assert again.position.bar is None


def test_a_kept_part_that_was_changed_is_made_again(make_place, caplog):
    place = make_place()
    task = pretag(place)
    (kept,) = (Path(place.target.url) / place.run_key / ".stages").glob("pretagging-0-*/predictions.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(pretag(make_place()).boxes_px, task.boxes_px)
    assert "can't be used and is made again" in caplog.text


def test_other_settings_are_not_answered_from_what_was_kept(make_place):
    sure, doubtful = (pretag(make_place(config={"min_score": score})) for score in (0.9, 0.1))
    assert len(sure.owners) < len(doubtful.owners)
    assert pretag(make_place(config={"min_score": 1.0})).owners.size == 0


def test_a_folder_of_images_without_any_object_gives_an_empty_task(make_place, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    Image.new("RGB", (50, 40), "grey").save(folder / "a.png")
    task = pretag(make_place(folder, config={"min_score": 0.99}))
    assert task.has_file.tolist() == [True]
    assert task.boxes_px.shape == (0, 4)
    assert task.probabilities.shape == (0, 7)


def test_a_checkpoint_that_is_missing_too_large_or_damaged_is_named(make_place, tmp_path):
    with pytest.raises(UnusableData, match=r"pretagging_config.checkpoint names 'a/b.pth'.*does not exist"):
        pretag(make_place(config={"checkpoint": "a/b.pth"}))
    with (tmp_path / "output/large.pth").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(UnusableData, match="has 1073741825 bytes, above the limit"):
        pretag(make_place(config={"checkpoint": "large.pth"}))
    (tmp_path / "output/odd.pth").write_bytes(b"no checkpoint")
    with pytest.raises(UnusableData, match=r"pretagging_config\.checkpoint: Checkpoint 'odd\.pth' can't be read"):
        pretag(make_place(config={"checkpoint": "odd.pth"}))


def test_another_checkpoint_under_the_same_name_makes_the_run_run_again(make_place, tmp_path):
    before = list_source_versions(make_place())
    assert [key for key, _ in before] == [CHECKPOINT]
    path = tmp_path / "output" / CHECKPOINT
    path.unlink()
    path.write_bytes(b"another")
    assert list_source_versions(make_place()) != before


def test_an_image_that_is_gone_by_then_and_a_listing_of_nothing_are_no_errors(make_place, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    place = make_place(folder)
    listing = list_of(place)
    (folder / "a.png").unlink()
    assert pretag_images(place, listing).value.has_file.tolist() == [False, True]
    nothing = pretag_images(place, Listing([], np.empty(0, np.int64), [])).value
    assert (nothing.has_file.shape, nothing.boxes_px.shape) == ((0,), (0, 4))


class WatchedStore:
    """Counts how many reads were begun and not yet taken."""

    url, parallel_reads = "memory:", 1

    def __init__(self, content):
        self.content, self.begun = content, 0

    def read(self, key):
        self.begun += 1
        return self.content


@pytest.mark.parametrize(("resized_bytes", "most"), [(0, 40), (2**28, 4), (2**31, 1)])
def test_pictures_count_among_the_bytes_in_flight(streets, resized_bytes, most):
    store = WatchedStore((streets[0] / "one pixel.png").read_bytes())
    options = ReadOptions(
        preprocessing=None, num_threads=5, choose_size=lambda *size: (2, 2), resized_bytes=resized_bytes
    )
    ahead = [store.begun - taken for taken, _ in enumerate(read_images(store, ["a.png"] * 100, options=options))]
    assert max(ahead) <= most


@pytest.fixture
def uploaded(make_place):
    """A workplace after pretagging with upload, and the task."""
    place = make_place(pretagging_upload=True)
    return place, pretag(place)


def test_what_was_uploaded_is_read_back_as_it_was_found(uploaded, make_place, load_task):
    place, task = uploaded
    names = list_of(place).names
    read = load_task(make_place(pretagging=False), names, TASK)
    for name in ("has_file", "owners", "category_index", "scores", "probabilities"):
        np.testing.assert_array_equal(getattr(read, name), getattr(task, name))
    np.testing.assert_allclose(read.boxes_px, task.boxes_px, rtol=1e-6, atol=1e-4)
    assert read.categories == task.categories


def test_uploaded_files_are_in_the_documented_format(uploaded, tmp_path):
    output = tmp_path / "output"
    assert json.loads((output / ".lightly/predictions/tasks.json").read_bytes()) == [TASK]
    schema = json.loads((output / FOLDER / "schema.json").read_bytes())
    assert schema["task_type"] == "object-detection"
    assert schema["categories"][2] == {"id": 2, "name": "car"}
    found = json.loads((output / FOLDER / "cam 1/scene_03.json").read_bytes())
    assert found["file_name"] == "cam 1/scene_03.png"
    assert {*found["predictions"][0]} == {"category_id", "bbox", "score", "probabilities"}
    assert json.loads((output / FOLDER / "one pixel.json").read_bytes())["predictions"] == []
    assert not (output / FOLDER / "cut.json").exists()


def test_other_tasks_stay_listed_and_a_second_upload_changes_nothing(make_place, tmp_path):
    tasks = tmp_path / "output/.lightly/predictions/tasks.json"
    tasks.parent.mkdir(parents=True)
    tasks.write_text('["mine", "写真"]', encoding="utf-8")
    for _ in range(2):
        pretag(make_place(pretagging_upload=True))
        assert json.loads(tasks.read_bytes()) == ["mine", "写真", TASK]
    assert not list((tmp_path / "output/.lightly/locks").glob("*.json"))


def test_a_retried_run_does_not_upload_again(uploaded, make_place, tmp_path):
    file = tmp_path / "output" / FOLDER / "one pixel.json"
    file.unlink()
    pretag(make_place(pretagging_upload=True))
    assert not file.exists()


def test_of_many_writers_of_the_list_of_tasks_none_is_lost(make_place, tmp_path):
    from selection_job.predictions.task_upload import _add_task

    places = [make_place() for _ in range(4)]
    threads = [
        threading.Thread(target=_add_task, args=(place.target, f"t{i}", "pretagging_upload"))
        for i, place in enumerate(places)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tasks = json.loads((tmp_path / "output/.lightly/predictions/tasks.json").read_bytes())
    assert sorted(tasks) == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize("content", [b"{}", b"not json", b"[" * 100_000], ids=["mapping", "no json", "deep"])
def test_a_list_of_tasks_that_is_none_is_not_overwritten(make_place, tmp_path, content):
    tasks = tmp_path / "output/.lightly/predictions/tasks.json"
    tasks.parent.mkdir(parents=True)
    tasks.write_bytes(content)
    with pytest.raises(UnusableData, match=r"tasks\.json is not a list"):
        pretag(make_place(pretagging_upload=True))
    assert tasks.read_bytes() == content
    assert not (tmp_path / "output" / FOLDER).exists()


@pytest.mark.parametrize(
    "content", [b'{"task_type": "object-detection", "categories": [{"id": 0, "name": "cat"}]}', b"no json"]
)
def test_the_predictions_of_another_task_of_that_name_are_not_mixed_with_ours(make_place, tmp_path, content):
    path = tmp_path / "output" / FOLDER / "schema.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UnusableData, match="of another task"):
        pretag(make_place(pretagging_upload=True))
    assert path.read_bytes() == content


def test_images_whose_files_would_have_one_name_are_counted(make_place, tmp_path):
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("a.png", "a.jpg", "schema.png", "b.png"):
        Image.new("RGB", (40, 30)).save(folder / name)
    place = make_place(folder, pretagging_upload=True)
    found, note = pretag_images(place, list_of(place)).notes
    assert found.startswith("Pretagging found 0 objects on 0 of 4 readable images, by checkpoint .lightly/")
    assert "2 images have the names of others" in note
    assert sorted(path.name for path in (tmp_path / "output" / FOLDER).iterdir()) == ["a.json", "b.json", "schema.json"]
    assert json.loads((tmp_path / "output" / FOLDER / "schema.json").read_bytes())["task_type"] == SCHEMA.kind


def test_the_documented_selection_is_supported(make_manifest, tmp_path):
    text = (Path(__file__).parents[2] / "docs/pretagging.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    manifest = make_manifest(tmp_path)
    manifest["spec"] = {"datasources": manifest["spec"]["datasources"], **yaml.safe_load(documented)["spec"]}
    run = check_supported(parse_manifest(manifest))
    assert find_needs(run.spec, make_goal(run.spec)).tasks == (TASK,)
