"""Objects: their boxes, how they are cut out, and that embedding them equals embedding the crops as images."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image

from selection_api import parse_manifest
from selection_api.lightly_config import LightlyConfig
from selection_api.selection_config import AutoTask
from selection_job.catalog.crop_columns import Crops, load_crops, save_crops
from selection_job.encoder.architecture import build_model
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import make_encoder
from selection_job.errors import UnusableData
from selection_job.images.crop_pixels import cut_objects
from selection_job.images.preprocessing import Preprocessing
from selection_job.manifest.data_needs import find_needs
from selection_job.manifest.goal import make_goal
from selection_job.objects.crop_embedder import CropEmbedder
from selection_job.objects.object_boxes import MOST_OBJECTS, make_auto_boxes, make_object_boxes, make_wanted_boxes
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.reading import images as reading
from selection_job.reading.images import ReadOptions, read_images


def detections(owners, boxes, n=4, scores=None):
    m = len(owners)
    return TaskPredictions(
        name="cars",
        kind="object-detection",
        categories=(Category(3, "car"), Category(7, "bus")),
        has_file=np.ones(n, dtype=bool),
        owners=np.array(owners, dtype=np.int64),
        category_index=np.arange(m, dtype=np.int32) % 2,
        scores=np.linspace(0.1, 0.9, m, dtype=np.float32) if scores is None else np.array(scores, dtype=np.float32),
        boxes_px=np.array(boxes, dtype=np.float32).reshape(-1, 4),
    )


def picture(width=40, height=30):
    random = np.random.default_rng(width)
    return Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))


def cut(corners, *, is_relative=False, image=None, **how):
    corners = np.array(corners, dtype=np.float32).reshape(-1, 4)
    return cut_objects(image or picture(), corners, is_relative=is_relative, preprocessing=Preprocessing(8), **how)


def test_boxes_belong_to_their_images_in_the_order_of_the_predictions():
    boxes = make_object_boxes(detections([0, 0, 2], [[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 2, 2]]))
    assert boxes.corners_of(0).tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert boxes.corners_of(1).tolist() == []
    assert boxes.corners_of(2).tolist() == [[0, 0, 2, 2]]
    assert boxes.numbers.tolist() == [0, 1, 0]
    assert boxes.categories == ("car", "bus")


def test_padding_grows_a_box_around_its_middle():
    boxes = make_object_boxes(detections([1], [[10, 20, 40, 10]]), padding=0.1)
    assert boxes.padding == 0.1
    assert cut(boxes.corners_of(1), image=picture(60, 40), padding=0.1).boxes_px.tolist() == [[8, 19, 52, 31]]


def test_objects_without_a_box_are_left_out_and_the_others_keep_their_numbers():
    boxes = make_object_boxes(detections([1, 1], [[np.nan] * 4, [0, 0, 2, 2]]))
    assert boxes.numbers.tolist() == [1]
    assert boxes.corners_of(1).tolist() == [[0, 0, 2, 2]]


def test_of_too_many_objects_on_an_image_those_with_the_highest_scores_stay_in_their_order():
    n = MOST_OBJECTS + 5
    scores = np.random.default_rng(0).permutation(n) / n
    boxes = make_object_boxes(detections([0] * n + [3], [[0, 0, 2, 2]] * (n + 1), scores=[*scores, 0.0]))
    expected = np.sort(np.argsort(-scores, kind="stable")[:MOST_OBJECTS])
    assert boxes.numbers[:-1].tolist() == expected.tolist()
    assert len(boxes.corners_of(3)) == 1


def test_a_task_without_boxes_is_refused_with_the_kinds_that_have_them():
    task = TaskPredictions(
        "weather", "classification", (), np.ones(1, bool), np.zeros(0, np.int64), np.zeros(0, np.int32),
        np.zeros(0, np.float32),
    )  # fmt: skip
    with pytest.raises(UnusableData, match=r"'weather' \(classification\) has no boxes.*object detection"):
        make_object_boxes(task)


@pytest.mark.parametrize(("rows", "cols", "overlap"), [(3, 2, 0.2), (1, 1, 0.0), (2, 5, 0.0), (2, 2, 0.5)])
def test_tiles_cover_the_image_have_one_size_and_overlap_as_asked(rows, cols, overlap):
    task = AutoTask(type="TILING", name="tiles", num_rows=rows, num_cols=cols, overlap=overlap)
    boxes = make_auto_boxes(task, 3)
    corners = boxes.corners_of(2).astype(np.float64)
    assert len(corners) == rows * cols
    assert corners.min(axis=0)[:2].tolist() == [0, 0]
    assert corners.max(axis=0)[2:] == pytest.approx([1, 1])
    sizes = corners[:, 2:] - corners[:, :2]
    assert np.ptp(sizes, axis=0) == pytest.approx([0, 0], abs=1e-6)
    if cols > 1:
        assert (corners[0, 2] - corners[1, 0]) / sizes[0, 0] == pytest.approx(overlap, abs=1e-6)


def test_given_crops_are_x_y_width_and_height_of_the_image():
    boxes = make_auto_boxes(AutoTask(type="CROP", name="middle", bboxs=[[0.25, 0.5, 0.5, 0.25]]), 1)
    assert cut(boxes.corners_of(0), is_relative=True).boxes_px.tolist() == [[10, 15, 30, 23]]


def test_tiles_of_a_third_end_where_the_next_begin():
    boxes = make_auto_boxes(AutoTask(type="TILING", name="tiles", num_rows=1, num_cols=3), 1)
    found = cut(boxes.corners_of(0), is_relative=True, image=picture(300, 20)).boxes_px
    assert found[:, [0, 2]].tolist() == [[0, 100], [100, 200], [200, 300]]


def test_an_object_is_cut_and_resized_as_pillow_does():
    image = picture()
    found = cut([[3.2, 4.9, 20.1, 17.0]], image=image)
    assert found.boxes_px.tolist() == [[3, 4, 21, 17]]
    expected = image.crop((3, 4, 21, 17)).resize((8, 8), Image.Resampling.BILINEAR)
    assert np.array_equal(found.pixels[0], np.asarray(expected))


def test_boxes_are_clipped_to_the_image_and_those_beside_it_left_out():
    found = cut([[-5, -5, 4, 4], [50, 0, 60, 10], [38.5, 28.5, 99, 99], [5, 5, 5, 9]])
    assert found.places.tolist() == [0, 2]
    assert found.boxes_px.tolist() == [[0, 0, 4, 4], [38, 28, 40, 30]]


@pytest.mark.parametrize("corners", [[1e30, 1e30, 2e30, 2e30], [-1e30, -1e30, 1e30, 1e30]])
def test_boxes_of_any_size_are_clipped(corners):
    boxes = cut([corners]).boxes_px.tolist()
    assert boxes in ([], [[0, 0, 40, 30]])


@pytest.fixture(scope="module")
def encoder():
    shape = LightlyConfig.model_validate({"model": {"name": "resnet-9", "width": 0.125, "num_ftrs": 8, "out_dim": 8}})
    return make_encoder(build_model(shape.model), input_size_px=8, source="test")


def embed(encoder, pixels):
    return np.concatenate(list(embed_pixels(encoder, [pixels], device=torch.device("cpu"))))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_embeddings_of_objects_are_those_of_their_crops_whatever_the_batch(encoder, batch_size):
    cars = make_object_boxes(detections([0, 0, 2], [[1, 2, 9, 9], [5, 6, 17, 8], [0, 0, 12, 12]]))
    tiles = make_auto_boxes(AutoTask(type="TILING", name="tiles", num_rows=2, num_cols=1), 4)
    device = torch.device("cpu")
    embedder = CropEmbedder(encoder, [cars, tiles], batch_size=batch_size, device=device, precision=32)
    images, expected = [picture(40 + i) for i in range(4)], [[], []]
    for catalog_row, row in enumerate([0, 2, 3]):  # image 1 is corrupt
        cut_out = [
            cut_objects(
                images[row], boxes.corners_of(row), is_relative=boxes.is_relative, preprocessing=Preprocessing(8)
            )
            for boxes in (cars, tiles)
        ]
        embedder.add(row, catalog_row, cut_out)
        for found, crops in zip(expected, cut_out, strict=True):
            found.extend(crops.pixels)
    crops = embedder.finish()
    assert crops[0].image_rows.tolist() == [0, 0, 1]
    assert crops[0].category_index.tolist() == [0, 1, 0]
    assert crops[1].image_rows.tolist() == [0, 0, 1, 1, 2, 2]
    for found, pixels in zip(crops, expected, strict=True):
        assert found.vectors == pytest.approx(embed(encoder, np.stack(pixels)), abs=1e-5)


def test_images_without_objects_give_no_crops(encoder):
    boxes = make_object_boxes(detections([], []))
    embedder = CropEmbedder(encoder, [boxes], batch_size=2, device=torch.device("cpu"), precision=32)
    embedder.add(0, 0, [cut(boxes.corners_of(0))])
    (crops,) = embedder.finish()
    assert len(crops) == 0
    assert crops.vectors.shape == (0, 8)


def some_crops(image_rows=(0, 0, 2)):
    m = len(image_rows)
    return Crops(
        "cars", ("car", "ein Bus, rot"), np.array(image_rows, np.int64), np.arange(m, dtype=np.int32),
        np.zeros((m, 4), np.int32), np.zeros(m, np.int32), np.ones(m, np.float32), np.ones((m, 5), np.float32),
    )  # fmt: skip


def test_kept_crops_read_back_as_they_were(tmp_path):
    save_crops(some_crops(), tmp_path / "crops.npz")
    found = load_crops(tmp_path / "crops.npz", n_images=3, dimensions=5)
    assert found.categories == ("car", "ein Bus, rot")
    assert found.image_rows.tolist() == [0, 0, 2]
    assert found.vectors.tolist() == some_crops().vectors.tolist()


def test_crops_are_kept_under_the_names_of_earlier_versions(tmp_path):
    crops = some_crops()
    save_crops(crops, tmp_path / "crops.npz")
    with np.load(tmp_path / "crops.npz") as file:
        assert file["owners"].tolist() == crops.image_rows.tolist()
        assert file["numbers"].tolist() == crops.index_in_image.tolist()


@pytest.mark.parametrize(
    ("image_rows", "n_images", "dimensions"), [((0, 3), 3, 5), ((-1, 0), 3, 5), ((1, 0), 3, 5), ((0, 1), 3, 4)]
)
def test_kept_crops_that_do_not_fit_are_refused(tmp_path, image_rows, n_images, dimensions):
    save_crops(some_crops(image_rows), tmp_path / "crops.npz")
    with pytest.raises(ValueError, match=r"crops\.npz"):
        load_crops(tmp_path / "crops.npz", n_images=n_images, dimensions=dimensions)


def keep(path, **changes):
    """Write crops with some of the arrays changed."""
    save_crops(some_crops(), path)
    with np.load(path) as file:
        columns = {**file, **changes}
    np.savez(path, **{name: value for name, value in columns.items() if value is not None})


BROKEN = [
    {"owners": None},
    {"owners": np.zeros((), np.int64)},
    {"owners": np.array(["0", "0", "2"])},
    {"scores": np.ones(2, np.float32)},
    {"boxes_px": np.zeros((3, 3), np.int32)},
    {"category_index": np.full(3, 2, np.int32)},
    {"category_index": np.full(3, -1, np.int32)},
    {"vectors": np.full((3, 5), np.nan, np.float32)},
    {"vectors": np.array([[{}] * 5] * 3)},
    {"categories": np.array("car")},
]


@pytest.mark.parametrize("changes", BROKEN, ids=str)
def test_kept_crops_of_another_form_are_refused(tmp_path, changes):
    keep(tmp_path / "crops.npz", **changes)
    with pytest.raises(ValueError, match=r"crops\.npz|allow_pickle=False"):
        load_crops(tmp_path / "crops.npz", n_images=3, dimensions=5)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[:200],
        lambda content: b"",
        lambda content: content.replace(b"\x00\x00\x80?", b"abcd"),
    ],
)
def test_kept_crops_that_are_cut_off_or_changed_are_refused(tmp_path, damage):
    path = tmp_path / "crops.npz"
    save_crops(some_crops(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="crops"):
        load_crops(path, n_images=3, dimensions=5)


def make_run(strategies=(), auto_tasks=(), **level):
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    folders = {key: {"type": "LOCAL", "resourcePath": f"/data/{key}"} for key in ("input", "lightly")}
    entries = [{"input": {"type": "EMBEDDINGS", **given}, "strategy": {"type": "DIVERSITY"}} for given in strategies]
    config = {"n_samples": 1, "strategies": entries, "auto_tasks": list(auto_tasks)}
    spec = {"datasources": folders, "workerConfig": {"object_level": level}, "selectionConfig": config}
    return parse_manifest({**names, "spec": spec}).spec


TILES = {"type": "TILING", "name": "tiles", "num_rows": 1, "num_cols": 2}


def test_boxes_are_made_of_what_a_strategy_compares_and_on_the_object_level_of_its_task_alone():
    tasks = {name: detections([0, 2], [[0, 0, 2, 2], [2, 2, 4, 4]]) for name in ("cars", "scored")}
    both = make_run([{"task": "cars"}, {"task": "tiles"}, {}], [TILES, {**TILES, "name": "unused"}])
    assert [boxes.is_relative for boxes in make_wanted_boxes(both, 4, tasks)] == [False, True]
    assert make_wanted_boxes(make_run([{}], [TILES]), 4, tasks) == []
    (cars,) = make_wanted_boxes(make_run([{}], task_name="cars", padding=0.5), 4, tasks)
    assert (cars.corners_of(2).tolist(), cars.padding) == ([[2, 2, 6, 6]], 0.5)
    (tiles,) = make_wanted_boxes(make_run([{}], [TILES], task_name="tiles", padding=1), 4, tasks)
    assert (tiles.corners_of(3).tolist(), tiles.padding) == ([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], 1)
    assert cut(tiles.corners_of(3), is_relative=True, padding=tiles.padding).boxes_px.tolist() == [
        [0, 0, 30, 30],
        [10, 0, 40, 30],
    ]


def needs_of(spec):
    return find_needs(spec, make_goal(spec))


def test_the_object_level_reads_the_predictions_of_its_task_and_none_of_tiles():
    assert needs_of(make_run([{}], task_name="cars")).tasks == ("cars",)
    assert needs_of(make_run([{}], [TILES], task_name="tiles")).tasks == ()


def test_a_task_without_boxes_is_refused_by_the_field_that_names_it():
    tasks = {"surfaces": dataclasses.replace(detections([], []), kind="semantic-segmentation", boxes_px=None)}
    with pytest.raises(UnusableData, match=r"^spec\.selectionConfig\.strategies\[1\]\.input\.task: .*has no boxes"):
        make_wanted_boxes(make_run([{}, {"task": "surfaces"}]), 4, tasks)
    with pytest.raises(UnusableData, match=r"^spec\.workerConfig\.object_level\.task_name: .*has no boxes"):
        make_wanted_boxes(make_run([{}], task_name="surfaces"), 4, tasks)


def test_any_padding_ends_at_the_image():
    boxes = make_object_boxes(detections([1, 1], [[10, 20, 4, 2], [5, 5, 0, 0]]), padding=1e308)
    assert cut(boxes.corners_of(1), padding=boxes.padding).boxes_px.tolist() == [[0, 0, 40, 30]]


class Same:
    """A store that gives the same picture under any name, and counts what was read."""

    url, parallel_reads, n_reads = "memory:", 1, 0

    def __init__(self):
        buffer = io.BytesIO()
        picture().save(buffer, "PNG")
        self.content = buffer.getvalue()

    def read(self, key):
        self.n_reads += 1
        return self.content


def test_cut_out_objects_count_among_the_bytes_in_flight(monkeypatch):
    """Ten objects of 8 x 8 pixels take 1,920 bytes: with room for two images no more are begun and not yet taken."""
    monkeypatch.setattr(reading, "_IN_FLIGHT_BYTES", 4000)
    task, store = detections(np.repeat(np.arange(30), 10), [[0, 0, 9, 9]] * 300, n=30), Same()
    options = ReadOptions(preprocessing=Preprocessing(8), num_threads=4)
    images = read_images(store, [f"{i}" for i in range(30)], options=options, boxes=[make_object_boxes(task)])
    ahead = [store.n_reads - taken for taken, _ in enumerate(images)]
    assert max(ahead) <= 3
