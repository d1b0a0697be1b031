"""Objects of predictions in whole runs: diversity and typicality of crops, and the selection of crops themselves."""

import csv
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import validate
from PIL import Image
from street_scenes import HEIGHT, NAMES, WIDTH, make_scene

from selection_api import parse_manifest
from selection_job.encoder.embedding import embed_pixels
from selection_job.errors import TryAgain
from selection_job.numeric.farthest_first import farthest_first
from selection_job.numeric.greedy.objectives import Diversity
from selection_job.numeric.strategies import select
from selection_job.process.progress import Progress
from selection_job.report.report_json import read_schema
from selection_job.results.pictures.crop_images import write_crop_images
from selection_job.run.context import set_up
from selection_job.selection.vectors import normalize_rows
from selection_job.stages.encoder import load_encoder_for_run

pytestmark = pytest.mark.slow

CATEGORIES = [{"id": 10 * i, "name": name} for i, name in enumerate(NAMES)]
COMMON, RARE = ("car", "person"), "train"


@dataclass(frozen=True)
class Street:
    """Pictures with known objects: a folder of images, and what a model would say of them."""

    folder: Path
    files: dict[str, bytes]  # key in the lightly datasource -> content
    objects: dict[str, list[tuple[str, list[int], float]]]  # name -> category, x0 y0 x1 y1, score

    def all_objects(self, leave_out=()):
        """Return (name, number, category, box, score) of each object, as crops are sorted."""
        return [
            (name, number, *one)
            for name in sorted(self.objects)
            if name not in leave_out
            for number, one in enumerate(self.objects[name])
        ]


def describe(name, objects):
    predictions = [
        {
            "category_id": 10 * NAMES.index(category),
            "score": score,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
        }
        for category, (x0, y0, x1, y1), score in objects
    ]
    return json.dumps({"file_name": name, "predictions": predictions}).encode()


@pytest.fixture(scope="session")
def street(tmp_path_factory):
    """21 scenes of a 'walk' of cars and persons, two with a train, one empty, an exact copy, one corrupt file."""
    folder, random = tmp_path_factory.mktemp("street"), np.random.default_rng(3)
    objects = {}
    for i in range(20):
        categories = [RARE] if i in (7, 15) else []
        categories += random.choice(COMMON, random.integers(1, 4)).tolist()
        picture, boxes = make_scene(random, categories if i != 4 else [])
        name = f"walk {i % 3}/frame_{i:02}.png"
        (folder / name).parent.mkdir(exist_ok=True)
        picture.save(folder / name)
        scores = random.uniform(0.3, 0.99, len(boxes)).round(3)
        objects[name] = [
            (category, box, float(score))
            for category, box, score in zip(categories, boxes.astype(int).tolist(), scores, strict=False)
        ]
    first = min(objects)
    (folder / "zz copy.png").write_bytes((folder / first).read_bytes())
    objects["zz copy.png"] = objects[first]
    (folder / "broken.png").write_bytes(b"no picture")
    files = {"tasks.json": b'["street"]'}
    files["street/schema.json"] = json.dumps({"task_type": "object-detection", "categories": CATEGORIES}).encode()
    for name, own in {**objects, "broken.png": []}.items():
        files[f"street/{name.removesuffix('.png')}.json"] = describe(name, own)
    return Street(folder, {f".lightly/predictions/{key}": content for key, content in files.items()}, objects)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def make_run(street, make_manifest, tmp_path):
    """Return a function (selectionConfig or None, **workerConfig) -> manifest; predictions lie in the output folder."""
    for key, content in street.files.items():
        write(tmp_path / "output" / key, content)

    def make(selection=None, folder=street.folder, **worker):
        stopping = {} if selection is None else {"stopping_condition": None}
        spec = {"workerConfig": {**stopping, **worker}}
        return make_manifest(folder, **spec, **({} if selection is None else {"selectionConfig": selection}))

    return make


@pytest.fixture
def embed_by_hand(street, make_run, tmp_path):
    """Return a function objects -> (m, d) unit vectors of the crops as Pillow and the encoder make them."""

    def embed(objects, padding=0.0):
        manifest = make_run(stopping_condition={"n_samples": 2})
        (tmp_path / "by hand").mkdir()
        place = set_up(parse_manifest(manifest), tmp_path / "by hand", Progress(quiet=True))
        encoder = load_encoder_for_run(place)
        pixels = []
        for name, _, _, (x0, y0, x1, y1), _ in objects:
            grow_x, grow_y = (x1 - x0) * padding / 2, (y1 - y0) * padding / 2
            box = (
                max(0, int(np.floor(x0 - grow_x + 1e-3))), max(0, int(np.floor(y0 - grow_y + 1e-3))),
                min(WIDTH, int(np.ceil(x1 + grow_x - 1e-3))), min(HEIGHT, int(np.ceil(y1 + grow_y - 1e-3))),
            )  # fmt: skip
            with Image.open(street.folder / name) as file:
                crop = file.convert("RGB").crop(box)
            pixels.append(np.asarray(crop.resize((encoder.preprocessing.size_px,) * 2, Image.Resampling.BILINEAR)))
        rows = np.concatenate(list(embed_pixels(encoder, [np.stack(pixels)], device=torch.device("cpu"))))
        return normalize_rows(rows)

    return embed


@pytest.fixture
def run_quickly(run_manifest, monkeypatch):
    """run_manifest without the pages and maps of the report: they take seconds and look at whole images."""

    def write_notes(folder, *, facts, **others):
        return {"notes": facts.notes}

    def run(manifest):
        with monkeypatch.context() as patch:
            patch.setattr("selection_job.publishing.publishing.write_report", write_notes)
            return run_manifest(manifest)

    return run


def strategy(kind, **more):
    return {"input": {"type": "EMBEDDINGS", **more}, "strategy": {"type": kind}}


def read_table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def list_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def choose_by_hand(vectors, objects, k):
    """Return the places of k crops by farthest-first and the images that they are on, each once, in order."""
    chosen, _ = farthest_first(vectors, k)
    names = [objects[i][0] for i in chosen.tolist()]
    return chosen.tolist(), list(dict.fromkeys(names))


def test_crops_are_chosen_as_if_cut_out_by_hand_and_their_images_are_kept(
    make_run, run_manifest, embed_by_hand, street
):
    level = {"task_name": "street", "padding": 0.2}
    done = run_manifest(make_run(stopping_condition={"n_samples": 9}, object_level=level), drawn=True)
    objects = street.all_objects(leave_out=["zz copy.png"])
    chosen, images = choose_by_hand(embed_by_hand(objects, padding=0.2), objects, 9)
    assert done.selected == images
    table = read_table(done.folder / "data/crops.csv")
    picked = sorted((row for row in table if row["decision"] == "selected"), key=lambda row: int(row["rank"]))
    assert [(row["filename"], int(row["number"])) for row in picked] == [objects[i][:2] for i in chosen]
    assert [row["decision"] for row in table if row["filename"] == "zz copy.png"] == ["duplicate"] * len(
        street.objects["zz copy.png"]
    )


def test_images_are_as_diverse_as_their_objects(make_run, run_quickly, embed_by_hand, street):
    done = run_quickly(make_run({"n_samples": 6, "strategies": [strategy("DIVERSITY", task="street")]}))
    names = sorted(set(street.objects) - {"zz copy.png"})
    objects = street.all_objects(leave_out=["zz copy.png"])
    owners = np.array([names.index(one[0]) for one in objects])
    expected = select(len(names), [Diversity(embed_by_hand(objects), owners=owners)], 6).indices
    assert done.selected == [names[row] for row in expected]
    table = read_table(done.folder / "data/crops.csv")
    assert "decision" not in table[0]
    assert [(row["filename"], int(row["number"]), row["category"]) for row in table] == [
        one[:3] for one in street.all_objects()
    ]


def test_typicality_of_objects_beside_their_scores_selects(make_run, run_quickly):
    scores = {
        "input": {"type": "SCORES", "task": "street", "score": "uncertainty_entropy"},
        "strategy": {"type": "WEIGHTS"},
    }
    done = run_quickly(make_run({"n_samples": 5, "strategies": [strategy("TYPICALITY", task="street"), scores]}))
    assert len(done.selected) == 5


def test_chosen_crops_are_written_as_images_of_their_own(make_run, run_quickly, street):
    level = {"task_name": "street", "padding": 0.1, "crop_dataset_name": "parts of streets"}
    worker = {"dump_dataset": True, "output_image_format": "bmp", "n_example_images": 0}
    done = run_quickly(make_run(stopping_condition={"n_samples": 5}, object_level=level, **worker))
    chosen = [row for row in read_table(done.folder / "data/crops.csv") if row["decision"] == "selected"]
    folder = done.folder / "data/crops/parts of streets"
    assert list_files(folder) == sorted(f"{row['filename']}/{row['number']}_{row['category']}.bmp" for row in chosen)
    for row, path in ((row, folder / row["filename"] / f"{row['number']}_{row['category']}.bmp") for row in chosen):
        box = tuple(int(row[key]) for key in ("x0", "y0", "x1", "y1"))
        with Image.open(street.folder / row["filename"]) as whole, Image.open(path) as crop:
            assert np.array_equal(np.asarray(crop), np.asarray(whole.convert("RGB").crop(box)))
    boxes = json.loads((done.folder / "data/bounding_boxes.json").read_bytes())
    assert sum(len(entry["boxes"]) for entry in boxes) == len(street.all_objects())


def test_an_image_that_is_gone_or_changed_when_its_crops_are_written_is_noted(
    make_run, run_quickly, street, tmp_path, monkeypatch
):
    gone, changed = "walk 0/frame_00.png", "walk 1/frame_01.png"
    folder = shutil.copytree(street.folder, tmp_path / "own street")

    def spoil_and_write(*arguments, **options):
        (folder / gone).unlink()
        Image.new("RGB", (9, 9)).save(folder / changed)
        return write_crop_images(*arguments, **options)

    monkeypatch.setattr("selection_job.publishing.publishing.write_crop_images", spoil_and_write)
    worker = {"dump_dataset": True, "object_level": {"task_name": "street"}}
    done = run_quickly(make_run(folder=folder, stopping_condition={"n_samples": "100%"}, **worker))
    notes = [note for note in done.report_notes if "could not be written as images" in note]
    assert [note.partition(":")[0] for note in notes] == [gone, changed]
    assert f"its {len(street.objects[changed])} chosen objects" in notes[1]
    assert notes[1].endswith("it has another size than when it was embedded")
    assert len(list_files(done.folder / "data/crops/test-crops")) > 20


def test_crops_are_not_written_once_another_process_has_the_lock(make_run, run_quickly, monkeypatch):
    written = []

    def take_away(source, target, folder, **options):
        write = target.write

        def write_and_count(key, content):
            write(key, content)
            written.append(key)

        def check_cheaply():
            if written:
                raise TryAgain("another process has taken the lock")

        monkeypatch.setattr(target, "write", write_and_count)
        return write_crop_images(source, target, folder, **{**options, "check_cheaply": check_cheaply})

    monkeypatch.setattr("selection_job.publishing.publishing.write_crop_images", take_away)
    worker = {"dump_dataset": True, "object_level": {"task_name": "street"}}
    with pytest.raises(TryAgain, match="another process"):
        run_quickly(make_run(stopping_condition={"n_samples": "100%"}, **worker))
    assert 0 < len(written) < 44


def keypoint_file(objects):
    """Return a keypoint prediction a box: its corners and middle seen, and one far outside that was not.

    Behind them comes an object of which nothing was seen.
    """
    found = []
    for category, (x0, y0, x1, y1), score in objects:
        seen = [x0, y0, 0.9, x1, y1, 0.5, (x0 + x1) / 2, (y0 + y1) / 2, 1]
        found.append({"category_id": 10 * NAMES.index(category), "score": score, "keypoints": [*seen, 999, 0, 0]})
    found.append({"category_id": 0, "score": 0.1, "keypoints": [5, 5, 0]})
    return json.dumps({"predictions": found}).encode()


def test_keypoints_without_boxes_and_tiles_take_part_side_by_side(make_run, run_quickly, street, tmp_path):
    folder = tmp_path / "output/.lightly/predictions"
    (folder / "tasks.json").write_bytes(b'["poses", "street"]')
    schema = {"task_type": "keypoint-detection", "categories": CATEGORIES}
    write(folder / "poses/schema.json", json.dumps(schema).encode())
    for name, objects in street.objects.items():
        write(folder / f"poses/{name.removesuffix('.png')}.json", keypoint_file(objects))
    entries = [strategy("DIVERSITY", task="poses"), strategy("DIVERSITY", task="tiles"), strategy("DIVERSITY")]
    tiles = {"type": "TILING", "name": "tiles", "num_rows": 1, "num_cols": 2}
    done = run_quickly(make_run({"n_samples": 5, "strategies": entries, "auto_tasks": [tiles]}))
    assert len(done.selected) == 5
    table = read_table(done.folder / "data/crops.csv")
    assert [row["task"] for row in table] == ["poses"] * len(street.all_objects()) + ["tiles"] * 2 * len(street.objects)
    for row, (name, number, category, box, _) in zip(table, street.all_objects(), strict=False):
        assert (row["filename"], row["number"], row["category"]) == (name, str(number), category)
        assert [int(row[key]) for key in ("x0", "y0", "x1", "y1")] == box
    m, n = len(street.all_objects()), len(street.objects)
    (note,) = [note for note in done.report_notes if "were cut out" in note]
    assert note.startswith(f"{m} of {m + n} objects of poses were cut out, on {n - 1} images. The others have no box")
    assert [entry["task"] for entry in json.loads((done.folder / "data/bounding_boxes.json").read_bytes())] == [
        "poses"
    ] * len({row["filename"] for row in table if row["task"] == "poses"})


def test_tiles_are_chosen_on_the_object_level(make_run, run_quickly, street):
    tiles = {"type": "TILING", "name": "tiles", "num_rows": 2, "num_cols": 2}
    config = {"proportion_samples": 0.1, "strategies": [strategy("DIVERSITY", task="tiles")], "auto_tasks": [tiles]}
    done = run_quickly(make_run(config, object_level={"task_name": "tiles"}))
    chosen = [row for row in read_table(done.folder / "data/crops.csv") if row["decision"] == "selected"]
    assert len(chosen) == len(street.objects) * 4 // 10
    assert sorted({row["filename"] for row in chosen}) == sorted(done.selected)


def test_what_was_measured_of_an_image_filters_its_objects(make_run, run_quickly):
    dark = {"type": "THRESHOLD", "threshold": 120, "operation": "SMALLER"}
    entries = [{"input": {"type": "METADATA", "key": "lightly.luminance"}, "strategy": dark}, strategy("DIVERSITY")]
    plain = run_quickly(make_run({"n_samples": 8, "strategies": entries}))
    values = {
        row["filename"]: float(row["value of THRESHOLD on METADATA lightly.luminance SMALLER 120"])
        for row in read_table(plain.folder / "data/selection.csv")
    }
    middle = float(np.median(list(values.values())))
    dark["threshold"] = middle
    done = run_quickly(make_run({"n_samples": 8, "strategies": entries}, object_level={"task_name": "street"}))
    table = [row for row in read_table(done.folder / "data/crops.csv") if row["decision"] != "duplicate"]
    assert {row["filename"] for row in table if row["decision"] == "filtered"} == {
        row["filename"] for row in table if not values[row["filename"]] < middle
    }
    assert all(values[name] < middle for name in done.selected)


def test_a_rare_class_is_found_by_its_crops(make_manifest, run_quickly, tmp_path, street):
    """Every thirtieth scene has a train: crops chosen for diversity hold trains at 3 times their share."""
    random, folder = np.random.default_rng(0), tmp_path / "scenes"
    predictions = tmp_path / "output/.lightly/predictions"
    folder.mkdir()
    for key in ("tasks.json", "street/schema.json"):
        write(predictions / key, street.files[f".lightly/predictions/{key}"])
    n_rare = n_all = 0
    for i in range(150):
        categories = random.choice(COMMON, 3).tolist() + ([RARE] if i % 30 == 7 else [])
        picture, boxes = make_scene(random, categories)
        picture.save(folder / f"{i:03}.png", compress_level=1)
        objects = [(category, box, 0.9) for category, box in zip(categories, boxes.tolist(), strict=True)]
        write(predictions / f"street/{i:03}.json", describe(f"{i:03}.png", objects))
        n_rare, n_all = n_rare + categories.count(RARE), n_all + len(categories)
    level = {"object_level": {"task_name": "street"}, "stopping_condition": {"n_samples": 30}}
    done = run_quickly(make_manifest(folder, workerConfig=level))
    chosen = [row["category"] for row in read_table(done.folder / "data/crops.csv") if row["decision"] == "selected"]
    assert chosen.count(RARE) / len(chosen) >= 3 * n_rare / n_all


@pytest.mark.parametrize("name", ["object-level", "object-diversity"])
def test_the_examples_run_to_their_reports(name, run_prediction_example):
    done = run_prediction_example(name, drawn=True)
    table = read_table(done.folder / "data/crops.csv")
    assert len(table) == 12
    validate(done.report, read_schema())
    assert done.report["selectionInformation"]["coverage"]["isExact"] is False
    if name == "object-diversity":
        assert "objectLevelInformation" not in done.report
        assert len(done.selected) == 4
        assert "south/06.png" not in done.selected, "there is no vehicle on it"
    else:
        assert [row["decision"] for row in table].count("selected") == 6
        assert len(list_files(done.folder / "data/crops/vehicles")) == 6
        assert "What was chosen are objects" in done.report["selectionInformation"]["coverage"]["whyUnknown"]
        level = done.report["objectLevelInformation"]
        assert (level["nObjects"], level["nSelected"], level["nImagesWithObjects"]) == (12, 6, 7)
        assert level["coverRadiusByPick"]["radii"][-1] == pytest.approx(level["coverRadius"], rel=1e-5)
        chosen = [row["category"] for row in table if row["decision"] == "selected"]
        assert {one["name"]: one["selected"] for one in level["categories"]} == {
            name: chosen.count(name) for name in ("bicycle", "bus", "car")
        }
        assert [one["measure"] for one in level["strategies"]] == ["mean distance to the nearest other object"]
        reasons = {row["filename"]: row["filtered_by"] for row in read_table(done.folder / "data/selection.csv")}
        assert reasons["south/06.png"] == "at least 1 object of vehicles"
