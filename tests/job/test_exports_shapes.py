"""Keypoints and masks in exports: read again from the prediction files, and where each tool wants them."""

import json
from unicodedata import normalize

import numpy as np
import pytest
from label_tools import ask_tools

from selection_job.catalog.catalog import Catalog
from selection_job.predictions.loading import load_predictions
from selection_job.predictions.shapes import ShapeFiles, fill_mask
from selection_job.predictions.task_schema import load_schemas
from selection_job.results.exports import coco_file
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.results.exports.coco_file import write_coco
from selection_job.results.exports.label_studio import write_label_studio
from selection_job.results.exports.media_place import MediaPlace
from selection_job.selection.selection import PASSED, Selection

WIDTH, HEIGHT = 12, 8
NAMES = [normalize("NFD", "é.png"), "b.png", "none.png", "sub/a.jpg", "sub/a.png"]
SELECTED = [3, 0, 2, 1]
MASK = np.zeros((HEIGHT, WIDTH), dtype=bool)
MASK[2:5, 3:9] = True
MASK[5:7, 3:5] = True
POINTS = [3, 2, 0.9, 6, 4, 0.8, 0, 0, 0]


def to_runs(mask):
    changes = np.flatnonzero(np.diff(mask.ravel(), prepend=False))
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


PERSON = {"id": 4, "name": "person", "keypoint_names": ["head", "hand", "foot"], "keypoint_skeleton": [[0, 1], [1, 2]]}
FILES = {
    "people/schema.json": {"task_type": "keypoint-detection", "categories": [PERSON]},
    "cars/schema.json": {"task_type": "object-detection", "categories": [{"id": 0, "name": "car"}]},
    "parts/schema.json": {"task_type": "instance-segmentation", "categories": [{"id": 1, "name": "part"}]},
    "ground/schema.json": {"task_type": "semantic-segmentation", "categories": [{"id": 2, "name": "road"}]},
    "weather/schema.json": {
        "task_type": "classification", "categories": [{"id": 0, "name": "sun"}, {"id": 1, "name": "rain"}],
    },
    "place/schema.json": {"task_type": "classification", "categories": [{"id": 0, "name": "city"}]},
}  # fmt: skip
OBJECTS = {
    "people": [
        {"category_id": 4, "keypoints": POINTS, "score": 0.5},
        {"category_id": 4, "keypoints": [9, 1, 0.5] * 3, "bbox": [8, 0, 2, 2], "score": 0.25},
    ],
    "cars": [{"category_id": 0, "bbox": [1, 1, 6, 4], "score": 0.5}],
    "parts": [
        {"category_id": 1, "bbox": [3, 2, 6, 5], "segmentation": to_runs(MASK), "score": 0.75},
    ],
    "ground": [{"category_id": 2, "segmentation": to_runs(~MASK), "score": 0.5}],
    "weather": [{"category_id": 1, "probabilities": [0.3, 0.7]}],
    "place": [{"category_id": 0}],
}
FILES |= {f"{task}/b.json": {"predictions": objects} for task, objects in OBJECTS.items()}
FILES |= {f"{task}/sub/a.json": {"predictions": objects} for task, objects in OBJECTS.items()}
FILES["people/sub/a.json"] = {"file_name": "sub/a.png", "predictions": OBJECTS["people"]}
FILES[f"people/{normalize('NFC', 'é')}.json"] = {"predictions": OBJECTS["people"][:1]}


@pytest.fixture
def make_chosen(prediction_place):
    """A factory of chosen images with what the files say of these tasks."""

    def make(*tasks, size=(WIDTH, HEIGHT)):
        place = prediction_place({"tasks.json": list(OBJECTS), **FILES})
        found = load_predictions(
            place.target, tasks, NAMES, stages=place.stages, scratch=place.scratch, progress=place.progress
        ).value
        n, k = len(NAMES), len(SELECTED)
        catalog = Catalog(
            names=NAMES,
            sha256=np.zeros((n, 32), np.uint8),
            sizes_bytes=np.ones(n, np.int64),
            widths_px=np.full(n, size[0], np.int32),
            heights_px=np.full(n, size[1], np.int32),
            duplicate_of=np.arange(n),
            corrupt={},
        )
        selection = Selection(
            candidates=np.arange(n),
            selected=np.array(SELECTED),
            radii=np.zeros(k, np.float32),
            removed=np.array([4]),
            nearest_selected=np.array([0]),
            nearest_distance=np.ones(1, np.float32),
            method="coreset",
            stopped_by="n_samples",
            distances=np.ones(k),
            contributions=np.empty((k, 0)),
            filtered_by=np.array([PASSED]),
        )
        kinds = {schema.task: schema for schema in load_schemas(place.target, tasks)}
        shapes = {
            name: ShapeFiles(place.target, kinds[name], NAMES)
            for name in tasks
            if name in ("people", "parts", "ground")
        }
        media = MediaPlace("LOCAL", "", "/data/", "/data/")
        return ChosenImages(catalog, selection, media, [NAMES[row] for row in SELECTED], {}, found, shapes)

    return make


def test_shapes_are_those_of_the_image_in_the_order_of_choice(make_chosen):
    chosen = make_chosen("people", "parts")
    found = {image.name: shapes for image, shapes in chosen.with_shapes()}
    assert list(found) == [NAMES[row] for row in SELECTED]
    assert [len(shapes.get("people", ())) for shapes in found.values()] == [0, 1, 0, 2]
    assert [len(shapes.get("parts", ())) for shapes in found.values()] == [1, 0, 0, 1]
    person = found["b.png"]["people"][0]
    assert person.keypoints == ((3, 2, 0.9), (6, 4, 0.8), (0, 0, 0))
    assert person.keypoint_names == ("head", "hand", "foot")
    assert (fill_mask(found["b.png"]["parts"][0].runs, WIDTH, HEIGHT) == MASK).all()


def test_shapes_of_files_that_have_changed_since_are_left_out(make_chosen, tmp_path):
    chosen = make_chosen("people")
    path = tmp_path / "lightly/.lightly/predictions/people/b.json"
    for content in ({"predictions": OBJECTS["people"][:1]}, "no predictions"):
        path.write_text(json.dumps(content))
        assert [list(shapes) for _, shapes in chosen.with_shapes()] == [[], ["people"], [], []]
    path.unlink()
    assert [list(shapes) for _, shapes in chosen.with_shapes()] == [[], ["people"], [], []]


CHECK = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface('''<View><Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="car"/></RectangleLabels>
  <RectangleLabels name="label-people" toName="image"><Label value="person"/></RectangleLabels>
  <KeyPointLabels name="keypoint" toName="image"><Label value="head"/><Label value="hand"/></KeyPointLabels>
  <PolygonLabels name="polygon" toName="image"><Label value="part"/></PolygonLabels>
  <PolygonLabels name="polygon-ground" toName="image"><Label value="road"/></PolygonLabels>
  <Choices name="choice" toName="image"><Choice value="sun"/><Choice value="rain"/></Choices>
  <Choices name="choice-place" toName="image"><Choice value="city"/></Choices></View>''')
errors = []
for task in json.load(open(sys.argv[1], encoding="utf-8")):
    for prediction in task.get("predictions", []):
        errors += map(str, interface.validate_prediction(prediction, return_errors=True))
print(json.dumps(errors))
"""


def write(chosen, folder):
    write_label_studio(folder, chosen)
    tasks = json.loads((folder / "label-studio-tasks.json").read_text(encoding="utf-8"))
    return {task["data"]["filename"]: task.get("predictions", []) for task in tasks}


def test_a_task_has_one_pre_annotation_with_the_results_of_all_prediction_tasks(make_chosen, tmp_path):
    names = ["people", "cars", "parts", "ground", "weather", "place"]
    found = write(make_chosen(*names), tmp_path)
    assert {len(predictions) for name, predictions in found.items() if name != "none.png"} == {1}
    assert {one["model_version"] for predictions in found.values() for one in predictions} == {", ".join(names)}
    results = found["b.png"][0]["result"]
    controls = [result["from_name"] for result in results]
    assert sorted(set(controls)) == [
        "choice", "choice-place", "keypoint", "label", "label-people", "polygon", "polygon-ground"
    ]  # fmt: skip
    ids = [result["id"] for result in results if "id" in result]
    assert len(set(ids)) == len(ids)
    assert {result.get("parentID", ids[0]) for result in results} <= set(ids)


def test_label_studio_takes_keypoints_polygons_boxes_and_choices(make_chosen, tmp_path):
    write(make_chosen("people", "cars", "parts", "ground", "weather", "place"), tmp_path)
    text = (tmp_path / "label-studio-tasks.json").read_text(encoding="utf-8").replace('"foot"', '"hand"')
    (tmp_path / "label-studio-tasks.json").write_text(text, encoding="utf-8")
    assert ask_tools(CHECK, tmp_path / "label-studio-tasks.json") == []


def test_keypoints_that_were_seen_lie_in_their_person(make_chosen, tmp_path):
    first, *_ = write(make_chosen("people"), tmp_path)[NAMES[0]]
    box, head, hand = first["result"]
    assert (box["from_name"], box["value"]["rectanglelabels"]) == ("label", ["person"])
    assert [(point["value"]["keypointlabels"], point["parentID"]) for point in (head, hand)] == [
        (["head"], box["id"]), (["hand"], box["id"])
    ]  # fmt: skip
    assert (head["value"]["x"], head["value"]["y"]) == pytest.approx((25, 25))
    assert [point["score"] for point in (head, hand)] == [0.9, 0.8]


def test_a_mask_of_another_size_than_the_image_is_its_box(make_chosen, tmp_path):
    (result,) = write(make_chosen("parts", size=(WIDTH, HEIGHT + 1)), tmp_path)["b.png"][0]["result"]
    assert (result["from_name"], result["value"]["rectanglelabels"]) == ("label", ["part"])


def test_a_mask_is_its_outline(make_chosen, tmp_path):
    result, *more = write(make_chosen("parts"), tmp_path)["b.png"][0]["result"]
    assert more == []
    corners = np.array(result["value"]["points"]) * [WIDTH / 100, HEIGHT / 100]
    assert np.round(corners).tolist() == [[3, 2], [9, 2], [9, 5], [5, 5], [5, 7], [3, 7]]
    assert (result["type"], result["value"]["polygonlabels"], result["value"]["closed"]) == (
        "polygonlabels", ["part"], True
    )  # fmt: skip


READ_COCO = """
import contextlib, json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
with contextlib.redirect_stdout(sys.stderr):
    coco = COCO(sys.argv[1])
    found = []
    for one in coco.loadAnns(coco.getAnnIds()):
        category = coco.loadCats(one["category_id"])[0]
        mask = coco.annToMask(one)
        found.append([coco.loadImgs(one["image_id"])[0]["file_name"], category["name"], one["area"], mask.tolist(),
                      one.get("keypoints"), category.get("skeleton")])
    small = coco.getAnnIds(areaRng=[0, 1e9], iscrowd=False)
    stats = []
    for kind in ("bbox", "segm"):
        results = [a for a in coco.dataset["annotations"]]
        other = COCO(); other.dataset = json.loads(json.dumps(coco.dataset)); other.createIndex()
        judged = COCOeval(coco, other, kind); judged.evaluate(); judged.accumulate(); judged.summarize()
        stats.append(judged.stats[0])
print(json.dumps([found, len(small), stats]))
"""


def test_pycocotools_reads_masks_keypoints_and_boxes_and_can_judge_them(make_chosen, tmp_path):
    chosen = make_chosen("people", "cars", "parts", "weather")
    write_coco(tmp_path, chosen)
    document = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    for one in document["annotations"]:
        assert {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "score"} <= set(one)
    found, n_all, stats = ask_tools(READ_COCO, tmp_path / "coco.json")
    assert n_all == len(found) == len(document["annotations"]) == 7
    assert stats == pytest.approx([1, 1])
    part = next(one for one in found if one[:2] == ["b.png", "part"])
    assert (np.array(part[3], dtype=bool) == MASK).all()
    assert part[2] == MASK.sum()
    car = next(one for one in found if one[:2] == ["b.png", "car"])
    box = np.zeros((HEIGHT, WIDTH), dtype=bool)
    box[1:5, 1:7] = True
    assert (np.array(car[3], dtype=bool) == box).all()
    person = next(one for one in found if one[:2] == [NAMES[0], "person"])
    assert person[4:] == [[3, 2, 2, 6, 4, 2, 0, 0, 0], [[1, 2], [2, 3]]]


@pytest.mark.parametrize("height", range(1, 4))
def test_runs_go_column_by_column(height):
    for bits in range(2 ** (height * 2)):
        mask = np.array([bits >> i & 1 for i in range(height * 2)], dtype=bool).reshape(height, 2)
        filled = [i % 2 for i, n in enumerate(coco_file._to_runs(mask)) for _ in range(n)]
        assert filled == mask.T.ravel().tolist()
