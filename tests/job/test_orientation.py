"""EXIF orientation: a picture has one size and one system of coordinates, those of the picture as it is shown."""

import csv
import io
import json

import numpy as np
import pytest
from label_tools import ask_tools
from PIL import Image, ImageOps
from turned_pictures import ORIENTATIONS, draw, encode, find_box, lay_down, overlap

from selection_job.catalog.catalog import Catalog, Listing, take_rows
from selection_job.catalog.catalog_file import load_catalog, save_catalog
from selection_job.catalog.embedded import Embedded
from selection_job.datapool.datapool import Datapool, ListedFiles, join
from selection_job.datapool.known_contents import digest_versions
from selection_job.datapool.pool_part import PartHeader, PoolPart, dump_part, parse_part
from selection_job.errors import UnusableData
from selection_job.images.decoding import decode_rgb
from selection_job.images.image_measures import MEASURES
from selection_job.images.preprocessing import Preprocessing
from selection_job.images.upright import turn_corners, turn_image, turn_size
from selection_job.manifest.medium import IMAGES, VIDEOS
from selection_job.metadata.metadata_column import make_measured_columns
from selection_job.objects.object_boxes import make_object_boxes
from selection_job.predictions.task_predictions import STORED, Category, TaskPredictions
from selection_job.predictions.task_upload import check_folder
from selection_job.predictions.turned_boxes import note_unturned, turn_boxes
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stages.pretagging import SCHEMA as DETECTED

BOXES = {
    orientation: [5 * orientation, 60 - 7 * orientation, 30 + orientation, 10 + orientation]
    for orientation in ORIENTATIONS
}
NAMES = [f"shot_{orientation}.jpg" for orientation in ORIENTATIONS]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_is_turned_as_its_picture_is(orientation):
    shown = draw(BOXES[orientation])
    stored = lay_down(shown, orientation)
    x, y, width, height = find_box(stored)
    corners = turn_corners(
        np.array([[x, y, x + width, y + height]], dtype=float),
        np.array([orientation]),
        np.array([shown.size], dtype=float),
    )
    (x0, y0, x1, y1) = corners[0]
    assert [x0, y0, x1 - x0, y1 - y0] == BOXES[orientation]
    assert turn_size(*stored.size, orientation) == shown.size
    assert turn_image(stored, orientation).tobytes() == shown.tobytes()


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_format_is_shown_as_pillow_turns_it(image_format, orientation):
    content = encode(draw(BOXES[orientation]), orientation, image_format)
    with Image.open(io.BytesIO(content)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    decoded = decode_rgb(content)
    assert (decoded.size, decoded.tobytes()) == (expected.size, expected.tobytes())


class Files:
    url, parallel_reads = "memory:", 1

    def __init__(self, files):
        self.files = files

    def read(self, name):
        return self.files[name]


def task_of(boxes, **more):
    n = len(boxes)
    return TaskPredictions(
        "cars", "object-detection", (Category(0, "car"),), np.ones(n, bool), np.arange(n), np.zeros(n, np.int32),
        np.ones(n, np.float32), boxes_px=np.array(boxes, np.float32), **more,
    )  # fmt: skip


def test_all_that_is_made_of_a_turned_picture_is_what_is_made_of_the_shown_one():
    """Encoder's input, thumbnail, crops, the detector's input and measures; boxes are of the stored pictures."""
    shown = {orientation: draw(BOXES[orientation]) for orientation in ORIENTATIONS}
    files = {f"{key}.png": encode(picture, key, "PNG") for key, picture in shown.items()}
    plain = {f"{key}.png": encode(picture, 1, "PNG") for key, picture in shown.items()}
    boxes = task_of([find_box(lay_down(picture, key)) for key, picture in shown.items()], coordinates=STORED)
    options = ReadOptions(
        preprocessing=Preprocessing(32), measures=MEASURES, choose_size=lambda width, height: (width // 2, height // 2),
        resized_bytes=9**6,
    )  # fmt: skip
    found = read_images(Files(files), list(files), options=options, boxes=[make_object_boxes(boxes, padding=0.2)])
    right = make_object_boxes(task_of(list(BOXES.values())), padding=0.2)
    expected = list(read_images(Files(plain), list(files), options=options, boxes=[right]))
    for own, other, orientation in zip(found, expected, ORIENTATIONS, strict=True):
        assert (own.width_px, own.height_px, own.orientation) == (120, 80, orientation)
        assert own.thumbnail == other.thumbnail
        assert own.measures == other.measures
        np.testing.assert_array_equal(own.encoder_pixels, other.encoder_pixels)
        np.testing.assert_array_equal(own.resized_pixels, other.resized_pixels)
        np.testing.assert_array_equal(own.crop_pixels[0].boxes_px, other.crop_pixels[0].boxes_px)
        np.testing.assert_array_equal(own.crop_pixels[0].pixels, other.crop_pixels[0].pixels)


def test_a_picture_that_is_decoded_in_small_has_the_size_that_is_shown():
    content = encode(draw([10, 10, 50, 50], (1600, 1200)), 6)
    options = ReadOptions(preprocessing=Preprocessing(32), decoder="fast")
    (read,) = read_images(Files({"a.jpg": content}), ["a.jpg"], options=options)
    assert (read.width_px, read.height_px) == (1600, 1200)


def catalog_of(sizes, orientations=None):
    n = len(sizes)
    widths, heights = np.array(sizes, dtype=np.int32).T
    return Catalog(
        [f"{i}.jpg" for i in range(n)], np.zeros((n, 32), np.uint8), np.ones(n, np.int64), widths, heights,
        np.arange(n), {}, orientations=orientations,
    )  # fmt: skip


def test_how_pictures_were_turned_is_kept_with_the_catalog(tmp_path):
    builder = CatalogBuilder()
    files = {f"{key}.png": encode(draw(BOXES[key]), key, "PNG") for key in ORIENTATIONS}
    for image in read_images(Files(files), list(files), options=ReadOptions(preprocessing=None)):
        builder.add(image)
    save_catalog(builder.build(), tmp_path)
    catalog = load_catalog(tmp_path)
    assert catalog.orientations.tolist() == list(ORIENTATIONS)
    assert take_rows(catalog, np.array([2, 5])).orientations.tolist() == [3, 6]
    save_catalog(catalog_of([(4, 3)]), tmp_path)
    assert load_catalog(tmp_path).orientations is None


def test_boxes_of_stored_pictures_are_left_out_where_no_picture_was_opened():
    """The size of a picture is then 0: of a table of embeddings, or of a pool that an earlier version filled."""
    task = task_of([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], coordinates=STORED)
    catalog = catalog_of([(40, 30), (0, 0), (30, 40)], np.array([1, 0, 8], np.uint8))
    turned = turn_boxes(task, catalog)
    np.testing.assert_array_equal(turned.boxes_px, [[1, 2, 3, 4], [np.nan] * 4, [10, 20, 12, 11]])
    assert turned.coordinates == "SHOWN"
    (note,) = note_unturned(task, catalog)
    assert "boxes are of the stored pictures (STORED), and 1 of them are on images that this run did not open" in note
    assert note_unturned(task_of([[1, 2, 3, 4]]), catalog_of([(0, 0)])) == []


def test_a_size_that_is_not_known_is_no_number_of_pixels():
    columns = make_measured_columns(catalog_of([(40, 30), (0, 0)]))
    np.testing.assert_array_equal(columns["lightly.width"].numbers, [40, np.nan])
    np.testing.assert_array_equal(columns["lightly.height"].numbers, [30, np.nan])


def test_a_schema_says_shown_or_stored_and_nothing_else(task_place, load_task):
    files = {"a.json": {"predictions": []}}
    assert load_task(task_place("object-detection", files), ["a.jpg"]).coordinates == "SHOWN"
    assert load_task(task_place("object-detection", files, coordinates="STORED"), ["a.jpg"]).coordinates == "STORED"
    with pytest.raises(UnusableData, match=r"schema\.json: coordinates: expected SHOWN .*EXIF.* or STORED .*'stored'"):
        load_task(task_place("object-detection", files, coordinates="stored"), ["a.jpg"])


def part_of(orientations, names=("a.jpg", "b.jpg")):
    """A part of a pool, as this version writes it; as an earlier one did where no orientations are given."""
    n, digests = len(names), digest_versions(Listing(list(names), np.ones(len(names), np.int64), ["1"] * len(names)))
    header = PartHeader("monday-1", 1, "2026-11-23T00:00:00+00:00", "f", "checkpoint a.ckpt")
    part = PoolPart(
        header, list(names), np.ones((n, 2), np.float32), np.zeros((n, 32), np.uint8), np.ones(n, np.int64),
        np.full(n, 40, np.int32), np.full(n, 30, np.int32), np.array(orientations or [1] * n, np.uint8),
        digests, np.sort(digests), np.zeros(n, "S16"), np.zeros(n, "S8"),
    )  # fmt: skip
    if orientations:
        return parse_part(dump_part(part))
    columns = dict(np.load(io.BytesIO(dump_part(part))))
    del columns["orientations"]
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    return parse_part(buffer.getvalue())


@pytest.mark.parametrize(
    ("orientations", "medium", "widths"),
    [([6, 1], IMAGES, [40, 40]), (None, IMAGES, [0, 0]), (None, VIDEOS, [40, 40])],
    ids=["of this version", "of an earlier one", "of an earlier one, of frames"],
)
def test_sizes_in_a_pool_are_of_shown_pictures_or_not_known(orientations, medium, widths):
    names = ("v-1-mp4.png", "v-2-mp4.png") if medium == VIDEOS else ("a.jpg", "b.jpg")
    pool = Datapool("d", "pool/", (part_of(orientations, names),))
    members = pool.find_members(ListedFiles([], *[np.empty(0, "S16")] * 2), medium=medium)
    assert members.columns["widths_px"].tolist() == widths
    joined = join(Embedded(catalog_of([(8, 9)]), np.zeros((1, 2), np.float32)), members).catalog
    assert joined.widths_px.tolist() == [8, *widths]
    assert joined.orientations.tolist() == [1, *(orientations or [0, 0])]


def test_what_an_earlier_version_uploaded_is_not_mixed_with_boxes_of_turned_pictures(prediction_place):
    categories = [{"id": category.id, "name": category.name} for category in DETECTED.categories]
    schema = {"task_type": "object-detection", "categories": categories}
    key = "lightly_pretagging/schema.json"
    with pytest.raises(
        UnusableData, match=r'earlier version, whose boxes are of .* stored.* add "coordinates": "SHOWN"'
    ):
        check_folder(prediction_place({key: schema}).target, DETECTED, option="pretagging_upload")
    for content in ({**schema, "coordinates": "STORED"}, {**schema, "categories": categories[1:]}):
        with pytest.raises(UnusableData, match="of another task"):
            check_folder(prediction_place({key: content}).target, DETECTED, option="pretagging_upload")
    check_folder(
        prediction_place({key: {**schema, "coordinates": "SHOWN"}}).target, DETECTED, option="pretagging_upload"
    )


@pytest.fixture
def phone(tmp_path, make_manifest):
    """The pictures, and their red boxes as predictions of the tasks shown and stored."""
    folder, predictions = tmp_path / "phone", tmp_path / "output/.lightly/predictions"
    folder.mkdir()
    schema = {"task_type": "object-detection", "categories": [{"id": 0, "name": "car"}]}
    files = {"tasks.json": ["shown", "stored"], "shown/schema.json": schema}
    files["stored/schema.json"] = {**schema, "coordinates": "STORED"}
    for orientation, name in zip(ORIENTATIONS, NAMES, strict=True):
        shown = draw(BOXES[orientation])
        (folder / name).write_bytes(encode(shown, orientation))
        for task, box in {"shown": BOXES[orientation], "stored": find_box(lay_down(shown, orientation))}.items():
            files[f"{task}/{name[:-4]}.json"] = {"predictions": [{"category_id": 0, "bbox": box, "score": 0.9}]}
    for key, content in files.items():
        (predictions / key).parent.mkdir(parents=True, exist_ok=True)
        (predictions / key).write_text(json.dumps(content))
    return folder


DIVERSITY = {"strategy": {"type": "DIVERSITY"}}
STRATEGIES = [
    {"input": {"type": "EMBEDDINGS"}, **DIVERSITY},
    {"input": {"type": "EMBEDDINGS", "task": "shown"}, **DIVERSITY},
    {"input": {"type": "EMBEDDINGS", "task": "stored"}, **DIVERSITY},
    {"input": {"type": "METADATA", "key": "lightly.width"}, "strategy": {"type": "WEIGHTS"}},
]
ASK = """
import contextlib, json, sys, tempfile
from pathlib import Path
import cv2
from label_studio_sdk.converter import Converter
from pycocotools.coco import COCO
folder, exports = map(Path, sys.argv[1:])
found = {}

for path in folder.iterdir():
    picture = cv2.imread(str(path)).astype(int)
    red = (picture[..., 2] - picture[..., 1] > 100).astype("uint8")
    found[path.name] = {"size": picture.shape[1::-1], "opencv": cv2.boundingRect(red), "coco": {}, "label studio": {}}

with contextlib.redirect_stdout(sys.stderr):
    coco = COCO(str(exports / "coco.json"))
for image in coco.loadImgs(coco.getImgIds()):
    of = found[image["file_name"]]
    of["coco size"] = [image["width"], image["height"]]
    for each in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
        of["coco"][coco.loadCats(each["category_id"])[0]["supercategory"]] = each["bbox"]

interface = '''<View><Image name="image" value="$image"/>
  <RectangleLabels name="NAME" toName="image"><Label value="car"/></RectangleLabels></View>'''
for task in json.loads((exports / "label-studio-tasks.json").read_text()):
    name = task["data"]["filename"]
    for prediction in task["predictions"]:
        for result in prediction["result"]:
            found[name]["label studio size"] = [result["original_width"], result["original_height"]]
            own = {"id": 1, "data": {"image": str(folder / name)}, "annotations": [{"id": 1, "result": [result]}]}
            with tempfile.TemporaryDirectory() as made, contextlib.redirect_stdout(sys.stderr):
                Path(made, "in").mkdir()
                Path(made, "in/1.json").write_text(json.dumps([own]))
                converter = Converter(interface.replace("NAME", result["from_name"]), made, download_resources=False)
                converter.convert_to_coco(Path(made, "in"), Path(made, "out"))
                (box,) = json.loads(Path(made, "out/result.json").read_text())["annotations"]
            found[name]["label studio"].setdefault("boxes", []).append(box["bbox"])
print(json.dumps(found))
"""


def test_every_output_speaks_of_the_picture_that_is_shown(phone, make_manifest, run_manifest):
    done = run_manifest(
        make_manifest(
            phone,
            workerConfig={
                "dump_dataset": True,
                "output_image_size": 80,
                "output_image_format": "png",
                "stopping_condition": None,
            },
            selectionConfig={"n_samples": 8, "strategies": STRATEGIES},
        )
    )
    data, exports = done.folder / "data", done.folder / "exports"
    assert [note for note in done.report_notes if "pictures" in note] == [
        "Turned by their EXIF orientation: 7 of 8 images. Sizes and boxes are those of the pictures as they are shown."
    ]
    tools = ask_tools(ASK, phone, exports)
    samples = {
        each["filename"]: each for each in json.loads((exports / "fiftyone/samples.json").read_text())["samples"]
    }
    cvat = [json.loads(line) for line in (exports / "cvat/manifest.jsonl").read_text().splitlines()[2:]]
    assert {(line["width"], line["height"]) for line in cvat} == {(120, 80)}, "as CVAT's own manifest tool says"
    for name, truth in zip(NAMES, BOXES.values(), strict=True):
        of = tools[name]
        assert of["size"] == of["coco size"] == of["label studio size"] == [120, 80]
        boxes = [*of["coco"].values(), *of["label studio"]["boxes"]]
        for task in ("shown", "stored"):
            x, y, width, height = samples[name][task]["detections"][0]["bounding_box"]
            boxes.append([x * 120, y * 80, width * 120, height * 80])
        assert len(boxes) == 6
        assert min(min(overlap(box, truth), overlap(box, of["opencv"])) for box in boxes) >= 0.99, (name, boxes)
        copy = data / f"sampled/{name.replace('jpg', 'png')}"
        assert overlap(find_box(Image.open(copy)), truth) >= 0.99
    check_tables(data)
    examples = done.report["predictionTaskInformation"]["stored"]["detectionTaskInformation"]["bboxExamples"]
    assert examples
    for each in examples:
        assert (each["widthPx"], each["heightPx"]) == (120, 80)
        assert overlap(each["predictions"][0]["bbox"], BOXES[int(each["filename"][5])]) >= 0.99


def read_table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def check_tables(data):
    assert {(row["width_px"], row["height_px"]) for row in read_table(data / "clean.csv")} == {("120", "80")}
    assert {float(row["lightly.width"]) for row in read_table(data / "metadata.csv")} == {120}
    crops = read_table(data / "crops.csv")
    assert len(crops) == 16
    for row in crops:
        x, y, width, height = BOXES[int(row["filename"][5])]
        assert [int(row[key]) for key in ("x0", "y0", "x1", "y1")] == [x, y, x + width, y + height]
    for entry in json.loads((data / "bounding_boxes.json").read_text()):
        x0, y0, x1, y1 = (edge * size for edge, size in zip(entry["boxes"][0], [120, 80] * 2, strict=True))
        assert overlap([x0, y0, x1 - x0, y1 - y0], BOXES[int(entry["filename"][5])]) >= 0.99


def test_objects_are_written_upright(phone, make_manifest, run_manifest):
    done = run_manifest(
        make_manifest(
            phone,
            workerConfig={
                "dump_dataset": True, "output_image_format": "png", "stopping_condition": None,
                "object_level": {"task_name": "stored"},
            },
            selectionConfig={"n_samples": 8, "strategies": STRATEGIES[:1]},
        )
    )  # fmt: skip
    pictures = sorted(done.folder.rglob("0_car.png"))
    assert len(pictures) == 8
    for path, truth in zip(pictures, BOXES.values(), strict=True):
        crop = Image.open(path)
        assert crop.size == tuple(truth[2:])
        assert find_box(crop) == [0, 0, *truth[2:]]
