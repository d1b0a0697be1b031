"""exports/: what labelling tools and tables take, read by their own libraries where these can be installed.

CVAT's reader of manifests is no package, and FiftyOne needs a database server that can't be installed without its
vendor's download: their files are held against the published formats.
"""

import csv
import io
import json
import re
from urllib.parse import parse_qs, urlparse

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_tools import ask_tools
from lightly.utils.io import load_embeddings

from selection_api.datasource import Datasource
from selection_job.catalog.catalog import Catalog
from selection_job.catalog.frames import NO_FRAMES, Frames
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.publishing import publishing
from selection_job.results.exports import label_studio, parquet_tables
from selection_job.results.exports.chosen_images import ChosenImages
from selection_job.results.exports.coco_file import write_coco
from selection_job.results.exports.cvat_manifest import write_cvat_manifest
from selection_job.results.exports.fiftyone_dataset import name_fields, write_fiftyone
from selection_job.results.exports.label_studio import write_label_studio
from selection_job.results.exports.media_place import make_place
from selection_job.results.exports.parquet_tables import write_selected_table
from selection_job.results.tables import embedding_parquet
from selection_job.results.tables.embedding_parquet import write_decided
from selection_job.selection.selection import PASSED, Selection

NAMES = ["a/1.jpg", 'b "q", <i>.png', "c\nd.jpg", "写真/é & ?.JPG", "noextension", "f.jpg"]
N = len(NAMES)
SELECTED = [3, 1, 2]
PLACES = {
    "S3": Datasource(type="S3", resourcePath="s3://bucket/in/put", region="eu-central-1"),
    "GCS": Datasource(type="GCS", resourcePath="gs://bucket", projectId="p"),
    "AZURE": Datasource(type="AZURE", containerName="container/in/", accountName="acc"),
    "LOCAL": Datasource(type="LOCAL", resourcePath="/data/input/"),
}
URLS = {"S3": "s3://bucket/in/put/", "GCS": "gs://bucket/", "AZURE": "azure://acc/container/in/"}
URLS["LOCAL"] = "/data/input/"


def make_selection(selected=SELECTED, n=N):
    removed = np.setdiff1d(np.arange(n), selected)
    return Selection(
        candidates=np.arange(n),
        selected=np.array(selected, dtype=np.int64),
        radii=np.zeros(len(selected), np.float32),
        removed=removed,
        nearest_selected=np.full(len(removed), selected[0] if selected else 0),
        nearest_distance=np.linspace(1, 2, len(removed)).astype(np.float32),
        method="coreset",
        stopped_by="n_samples",
        distances=np.array([np.inf, *np.linspace(3, 1, max(0, len(selected) - 1))][: len(selected)]),
        contributions=np.empty((len(selected), 0)),
        filtered_by=np.array([0, *[PASSED] * (len(removed) - 1)]) if len(removed) else np.empty(0, np.int64),
    )


def make_catalog(names=NAMES, size=(200, 100), frames=NO_FRAMES):
    n = len(names)
    return Catalog(
        names=list(names),
        sha256=np.arange(32 * n, dtype=np.uint8).reshape(n, 32),
        sizes_bytes=np.arange(n, dtype=np.int64) + 1000,
        widths_px=np.full(n, size[0], np.int32),
        heights_px=np.full(n, size[1], np.int32),
        duplicate_of=np.arange(n),
        corrupt={},
        frames=frames,
    )


TASKS = {
    "vehicles": TaskPredictions(
        name="vehicles",
        kind="object-detection",
        categories=(Category(7, "car"), Category(9, "bus")),
        has_file=np.ones(N, dtype=bool),
        owners=np.array([1, 1, 3, 5]),
        category_index=np.array([0, 1, 1, 0], np.int32),
        scores=np.array([0.5, 0.25, 0.75, 1], np.float32),
        boxes_px=np.array([[20, 10, 100, 50], [0, 0, 200, 100], [1, 2, 3, 4], [5, 5, 5, 5]], np.float32),
    ),
    "weather": TaskPredictions(
        name="weather",
        kind="classification",
        categories=(Category(0, "sun"), Category(1, "rain")),
        has_file=np.ones(N, dtype=bool),
        owners=np.arange(N),
        category_index=np.array([0, 1, 0, 1, 0, 1], np.int32),
        scores=np.full(N, 0.5, np.float32),
    ),
}
COLUMNS = {
    "vehicles objectness": np.array([0, 0.1, np.nan, 0.3, 0.4, 0.5]),
    "city": ["", "Zürich", "", "東京", "", "x"],
}


def make_chosen(kind="S3", folder="", **changes):
    given = {
        "catalog": make_catalog(),
        "selection": make_selection(),
        "place": make_place(PLACES[kind], URLS[kind], folder),
        "file_names": [NAMES[row] for row in SELECTED],
        "columns": COLUMNS,
        "tasks": TASKS,
    }
    return ChosenImages(**{**given, **changes})


def read_tasks(path):
    return json.loads(path.read_text(encoding="utf-8"))


CHECK_LABEL_STUDIO = """
import json, sys
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface('''<View><Image name="image" value="$image"/>
  <RectangleLabels name="label" toName="image"><Label value="car"/><Label value="bus"/></RectangleLabels>
  <Choices name="choice" toName="image"><Choice value="sun"/><Choice value="rain"/></Choices></View>''')
errors = []
for task in json.load(open(sys.argv[1], encoding="utf-8")):
    if not interface.validate_task({"data": task["data"]}):
        errors.append(task)
    for prediction in task.get("predictions", []):
        errors += map(str, interface.validate_prediction(prediction, return_errors=True))
print(json.dumps(errors))
"""


def test_label_studio_takes_the_tasks_and_their_predictions(tmp_path):
    write_label_studio(tmp_path, make_chosen())
    assert ask_tools(CHECK_LABEL_STUDIO, tmp_path / "label-studio-tasks.json") == []
    tasks = read_tasks(tmp_path / "label-studio-tasks.json")
    assert [task["data"]["filename"] for task in tasks] == [NAMES[row] for row in SELECTED]
    assert [task["data"]["rank"] for task in tasks] == [1, 2, 3]
    assert tasks[0]["data"]["image"] == "s3://bucket/in/put/写真/é & ?.JPG"
    assert tasks[0]["data"]["city"] == "東京"
    assert "taken_at_distance" not in tasks[0]["data"], "of the first nothing is known"
    (prediction,) = tasks[1]["predictions"]
    *boxes, choice = prediction["result"]
    assert prediction["model_version"] == "vehicles, weather"
    assert [result["value"]["rectanglelabels"] for result in boxes] == [["car"], ["bus"]]
    value = boxes[0]["value"]
    assert (value["x"], value["y"], value["width"], value["height"]) == (10, 10, 50, 50)
    assert choice["value"] == {"choices": ["rain"]}


@pytest.mark.parametrize(
    ("kind", "uri", "key", "image"),
    [
        ("S3", "s3://bucket/in/put/x/a ?.jpg", "in/put/x/a ?.jpg", "s3://bucket/in/put/x/a ?.jpg"),
        ("GCS", "gs://bucket/x/a ?.jpg", "x/a ?.jpg", "gs://bucket/x/a ?.jpg"),
        ("AZURE", "azure://acc/container/in/x/a ?.jpg", "in/x/a ?.jpg", "azure-blob://container/in/x/a ?.jpg"),
        ("LOCAL", "/data/input/x/a ?.jpg", "x/a ?.jpg", "/data/local-files/?d=x/a%20%3F.jpg"),
    ],
)
def test_a_file_is_named_as_each_tool_finds_it(kind, uri, key, image):
    place = make_place(PLACES[kind], URLS[kind], "x/")
    assert (place.name_uri("a ?.jpg"), place.name_key("a ?.jpg"), place.name_label_studio("a ?.jpg")) == (
        uri,
        key,
        image,
    )


def test_any_name_comes_back_from_the_address_of_a_local_file():
    place = make_place(PLACES["LOCAL"], URLS["LOCAL"])
    for name in NAMES:
        assert parse_qs(urlparse(place.name_label_studio(name)).query)["d"] == [name]


def test_many_tasks_are_split(tmp_path, monkeypatch):
    monkeypatch.setattr(label_studio, "MOST_TASKS", 2)
    write_label_studio(tmp_path, make_chosen())
    parts = [read_tasks(tmp_path / f"label-studio-tasks-{number}.json") for number in (1, 2)]
    assert [len(part) for part in parts] == [2, 1]
    assert not (tmp_path / "label-studio-tasks.json").exists()


def test_boxes_need_the_size_of_the_image(tmp_path):
    write_label_studio(tmp_path, make_chosen(catalog=make_catalog(size=(0, 0))))
    tasks = read_tasks(tmp_path / "label-studio-tasks.json")
    types = {result["type"] for task in tasks for one in task["predictions"] for result in one["result"]}
    assert types == {"choices"}


def test_the_cvat_manifest_has_the_published_form(tmp_path):
    write_cvat_manifest(tmp_path, make_chosen())
    lines = (tmp_path / "cvat/manifest.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, lines[:2])) == [{"version": "1.1"}, {"type": "images"}]
    entries = [json.loads(line) for line in lines[2:]]
    assert [entry["name"] + entry["extension"] for entry in entries] == [f"in/put/{NAMES[row]}" for row in SELECTED]
    assert [entry["extension"] for entry in entries] == [".JPG", ".png", ".jpg"]
    assert all((entry["width"], entry["height"]) == (200, 100) for entry in entries)


CHECK_COCO = """
import contextlib, json, sys
from pycocotools.coco import COCO
with contextlib.redirect_stdout(sys.stderr):
    coco = COCO(sys.argv[1])
found = {coco.loadImgs(i)[0]["file_name"]: [[coco.loadCats(a["category_id"])[0]["name"], a["bbox"]]
         for a in coco.loadAnns(coco.getAnnIds(imgIds=[i]))] for i in coco.getImgIds()}
print(json.dumps(found))
"""


def test_pycocotools_finds_the_images_and_the_predicted_boxes(tmp_path):
    write_coco(tmp_path, make_chosen())
    assert ask_tools(CHECK_COCO, tmp_path / "coco.json") == {
        NAMES[3]: [["bus", [1, 2, 3, 4]]],
        NAMES[1]: [["car", [20, 10, 100, 50]], ["bus", [0, 0, 200, 100]]],
        NAMES[2]: [],
    }
    document = json.loads((tmp_path / "coco.json").read_text(encoding="utf-8"))
    assert document["images"][1]["coco_url"] == f"s3://bucket/in/put/{NAMES[1]}"


def test_the_fiftyone_dataset_has_the_published_form(tmp_path):
    write_fiftyone(tmp_path, make_chosen("LOCAL"))
    assert "version" not in json.loads((tmp_path / "fiftyone/metadata.json").read_text())
    samples = json.loads((tmp_path / "fiftyone/samples.json").read_text(encoding="utf-8"))["samples"]
    assert [sample["filepath"] for sample in samples] == [f"/data/input/{NAMES[row]}" for row in SELECTED]
    detection = samples[1]["vehicles"]["detections"][0]
    assert (detection["label"], detection["bounding_box"]) == ("car", [0.1, 0.1, 0.5, 0.5])
    assert samples[1]["weather"]["label"] == "rain"
    assert samples[1]["vehicles_objectness"] == 0.1
    assert all(key.replace("_", "").isalnum() for sample in samples for key in sample)


FIELD_NAMES = st.one_of(
    st.sampled_from(["_x", "x", "__", "", "a.b", "a_b", "a$b", "a b", "save", "frames", "id", "created_at", "save_"]),
    st.text(max_size=5),
)


@given(st.lists(FIELD_NAMES, unique=True), st.lists(FIELD_NAMES, unique=True))
def test_fields_of_fiftyone_are_ones_that_it_takes_and_no_two_are_the_same(values, tasks):
    fields = name_fields(values, tasks)
    assert len(set(fields.values())) == len(values) + len(tasks)
    for (_, name), field in fields.items():
        assert field
        assert not field.startswith("_")
        assert not {".", "$", " ", "/"} & set(field)
        assert field not in {"id", "filepath", "tags", "metadata", "filename", "rank", "save", "frames", "created_at"}
        is_plain = name.replace("_", "").isalnum() and not name.startswith("_")
        if is_plain and name not in ("save", "frames", "id", "created_at"):
            assert re.fullmatch(rf"{re.escape(name)}(_\d+)?", field)


def test_renamed_fields_are_listed_with_what_they_were_called(tmp_path):
    columns = {"_secret": ["x"] * N, "weather.rain": np.arange(N) + 0.5, "save": ["y"] * N, "city": ["z"] * N}
    write_fiftyone(tmp_path, make_chosen(columns=columns, tasks={"city": TASKS["weather"]}))
    renamed = {"secret": "_secret", "weather_rain": "weather.rain", "save_": "save", "city_2": "city"}
    info = json.loads((tmp_path / "fiftyone/metadata.json").read_text(encoding="utf-8"))["info"]
    assert info == {"renamed_fields": renamed}
    sample = json.loads((tmp_path / "fiftyone/samples.json").read_text(encoding="utf-8"))["samples"][0]
    assert (sample["secret"], sample["weather_rain"], sample["save_"], sample["city"]) == ("x", 3.5, "y", "z")
    assert sample["city_2"]["label"] == "rain"


def test_values_called_as_the_tools_own_fields_do_not_take_their_place(tmp_path):
    columns = {"image": ["x"] * N, "rank": np.arange(N) + 50.0, "filepath": ["y"] * N}
    chosen = make_chosen("LOCAL", columns=columns, tasks={"tags": TASKS["weather"]})
    write_label_studio(tmp_path, chosen)
    write_fiftyone(tmp_path, chosen)
    data = read_tasks(tmp_path / "label-studio-tasks.json")[0]["data"]
    assert data["image"].startswith("/data/local-files/?d=")
    assert (data["rank"], data["image_"], data["rank_"]) == (1, "x", 53)
    sample = json.loads((tmp_path / "fiftyone/samples.json").read_text(encoding="utf-8"))["samples"][0]
    assert (sample["filepath"], sample["tags"], sample["rank"]) == (f"/data/input/{NAMES[3]}", ["selected"], 1)
    assert (sample["filepath_"], sample["tags_"]["label"]) == ("y", "rain")
    write_selected_table(tmp_path, chosen)
    row = pq.read_table(tmp_path / "selected.parquet").to_pylist()[0]
    assert (row["rank"], row["rank_"], row["image"]) == (1, 53.0, "x")


def test_the_cvat_manifest_keeps_the_key_as_it_is(tmp_path):
    names = ["a//b.jpg", "./c.jpg", "d.e/f"]
    write_cvat_manifest(tmp_path, make_chosen(file_names=names))
    entries = [json.loads(line) for line in (tmp_path / "cvat/manifest.jsonl").read_text().splitlines()[2:]]
    assert [entry["name"] + entry["extension"] for entry in entries] == [f"in/put/{name}" for name in names]


def test_selected_parquet_holds_what_is_known_of_each_selected_image(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_tables, "_ROWS", 2)
    write_selected_table(tmp_path, make_chosen())
    table = pq.read_table(tmp_path / "selected.parquet").to_pydict()
    assert table["filename"] == [NAMES[row] for row in SELECTED]
    assert table["rank"] == [1, 2, 3]
    assert table["taken_at_distance"] == [None, 3, 1]
    assert table["city"] == ["東京", "Zürich", None]
    assert table["vehicles objectness"] == [0.3, 0.1, None]
    assert table["objects of vehicles"] == [1, 2, 0]
    assert table["sha256"] == [make_catalog().sha256[row].tobytes().hex() for row in SELECTED]
    assert pq.ParquetFile(tmp_path / "selected.parquet").num_row_groups == 2


def test_embeddings_parquet_gives_back_every_vector_and_decision(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_parquet, "_MOST_ROWS", 4)
    vectors = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
    write_decided(tmp_path, make_catalog(), vectors, make_selection())
    table = pq.read_table(tmp_path / "embeddings.parquet")
    read = np.stack(table.column("embedding").to_numpy())
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, vectors)
    assert table.column("decision").to_pylist() == [
        "filtered",
        "selected",
        "selected",
        "selected",
        "removed",
        "removed",
    ]
    assert table.column("rank").to_pylist() == [None, 2, 3, 1, None, None]
    assert table.column("distance_to_nearest_selected").to_pylist() == [1, None, None, None, 1.5, 2]


def test_equal_tables_are_equal_bytes(tmp_path):
    vectors = np.zeros((N, 3), np.float32)
    for folder in ("one", "two"):
        write_decided(tmp_path / folder, make_catalog(), vectors, make_selection())
        write_selected_table(tmp_path / folder, make_chosen())
    for name in ("embeddings.parquet", "selected.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_frames_say_which_video_and_when(tmp_path):
    n = 4
    frames = Frames(
        videos=["v.mp4"],
        n_frames=np.array([10]),
        video_rows=np.zeros(n, np.int32),
        indices=np.arange(n) * 2,
        pts=np.array([0, 512, -1, 1536]),
        seconds=np.array([0, 0.04, np.nan, 0.12]),
        corrupt_videos={},
    )
    names = [f"v-{2 * i:02}-mp4.png" for i in range(n)]
    chosen = make_chosen(
        catalog=make_catalog(names, frames=frames), selection=make_selection([2, 1], n), file_names=["x.jpg", "y.jpg"],
        columns={}, tasks={},
    )  # fmt: skip
    write_selected_table(tmp_path, chosen)
    write_decided(tmp_path, chosen.catalog, np.zeros((n, 2), np.float32), chosen.selection)
    selected = pq.read_table(tmp_path / "selected.parquet").to_pydict()
    assert selected["frame_index"] == [4, 2]
    assert selected["timestamp_sec"] == [None, 0.04]
    assert selected["timestamp_pts"] == [None, 512]
    assert selected["uri"] == ["s3://bucket/in/put/x.jpg", "s3://bucket/in/put/y.jpg"]
    assert pq.read_table(tmp_path / "embeddings.parquet").column("video").to_pylist() == ["v.mp4"] * n


@pytest.mark.parametrize("selected", [[], [0]])
def test_a_selection_of_none_or_one_is_written_too(tmp_path, selected):
    chosen = make_chosen(selection=make_selection(selected), file_names=[NAMES[row] for row in selected])
    for write in (write_label_studio, write_cvat_manifest, write_coco, write_fiftyone, write_selected_table):
        write(tmp_path, chosen)
    assert len(read_tasks(tmp_path / "label-studio-tasks.json")) == len(selected)
    assert pq.read_table(tmp_path / "selected.parquet").num_rows == len(selected)


@pytest.fixture
def without_report(monkeypatch):
    monkeypatch.setattr(publishing, "_write_report", lambda *_: {})


def test_a_run_writes_them_all_and_they_agree_with_its_tables(run_prediction_example, without_report):
    done = run_prediction_example("object-detection")
    folder = done.folder / "exports"
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()) == [
        "coco.json", "cvat/manifest.jsonl", "embeddings.parquet", "fiftyone/metadata.json", "fiftyone/samples.json",
        "label-studio-tasks.json", "selected.parquet",
    ]  # fmt: skip
    selected = pq.read_table(folder / "selected.parquet").to_pydict()
    assert selected["filename"] == done.selected
    assert selected["uri"] == [f"{done.place.source.url}{name}" for name in done.selected]
    vectors, _, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    table = pq.read_table(folder / "embeddings.parquet")
    assert table.column("filename").to_pylist() == names
    np.testing.assert_array_equal(np.stack(table.column("embedding").to_numpy()), np.array(vectors, np.float32))
    text = (done.folder / "data/selection.csv").read_text(encoding="utf-8")
    decisions = {row["filename"]: row["decision"] for row in csv.DictReader(io.StringIO(text))}
    assert dict(zip(names, table.column("decision").to_pylist(), strict=True)) == decisions
    assert [task["data"]["filename"] for task in read_tasks(folder / "label-studio-tasks.json")] == done.selected


def test_a_run_writes_only_what_is_asked_for(make_manifest, photos, run_manifest, without_report):
    done = run_manifest(make_manifest(photos.folder, workerConfig={"exports": ["COCO"]}))
    assert [path.name for path in (done.folder / "exports").iterdir()] == ["coco.json"]
    none = run_manifest(make_manifest(photos.folder, workerConfig={"exports": []}))
    assert not (none.folder / "exports").exists()
