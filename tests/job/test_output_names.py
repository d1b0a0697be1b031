"""Names that meet after a suffix or an escaping: nothing is overwritten, and a table says what is called otherwise."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_api.datasource import Datasource, Datasources
from selection_job.catalog.catalog import Catalog
from selection_job.formats.distinct_names import Renamed, keep_apart
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.results.exports.chosen_images import ChosenImages, name_values
from selection_job.results.exports.fiftyone_dataset import list_fiftyone_fields, write_fiftyone
from selection_job.results.exports.label_studio import list_label_studio_columns, write_label_studio
from selection_job.results.exports.media_place import make_place
from selection_job.results.exports.parquet_tables import list_parquet_columns, write_selected_table
from selection_job.results.pictures.image_copies import (
    find_meeting_thumbnails,
    list_renamed_copies,
    name_copies,
    thumbnail_key,
    write_thumbnails,
)
from selection_job.results.tables.output_names import write_output_names
from selection_job.selection.selection import Selection
from selection_job.stores.local.store import LocalStore

SUFFIXES = [
    ".lightly/thumbnails/[filename]_thumb.[extension]",
    "thumbs/[filename].jpg",
    "thumbs/[filename]_thumb.jpg",
    "[extension]/[filename]",
    "t/[filename][extension]",
    "t/[filename]-[extension].[extension]",
]
MEETING = ["a.jpg", "a.png", "a.webp", "a-png.jpg", "sub/a.jpg", "sub/a.JPG", "b.jpg", "a-jpg.png", "aj.pg"]
STEMS = st.text(st.sampled_from("ab-./_"), min_size=1, max_size=5)
NAMES = st.lists(st.builds("{}.{}".format, STEMS, st.sampled_from(["jpg", "png", "jpeg"])), unique=True, max_size=12)


def keys_of(suffix, names):
    renamed = find_meeting_thumbnails(suffix, names)
    return [renamed.get(name) or thumbnail_key(suffix, name) for name in names]


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(names=NAMES)
def test_no_two_thumbnails_have_one_key_and_the_first_keeps_its_own(suffix, names):
    keys = keys_of(suffix, names)
    assert len(set(keys)) == len(names)
    usual = [thumbnail_key(suffix, name) for name in names]
    for place, key in enumerate(usual):
        if key not in usual[:place]:
            assert keys[place] == key


@given(names=NAMES, more=NAMES)
def test_a_thumbnail_keeps_its_key_where_images_come_behind_it(names, more):
    suffix = "thumbs/[filename].jpg"
    usual = {thumbnail_key(suffix, name) for name in names}
    before, after = keys_of(suffix, names), keys_of(suffix, [*names, *(name for name in more if name not in names)])
    plain = [place for place, name in enumerate(names) if before[place] in usual and before.count(before[place]) == 1]
    assert all(after[place] == before[place] for place in plain if before[place] == thumbnail_key(suffix, names[place]))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_thumbnail_is_written_and_holds_its_own_image(suffix, tmp_path):
    datasource = Datasource(type="LOCAL", resourcePath=f"{tmp_path}/", thumbnailSuffix=suffix)
    datasources = Datasources(input=datasource, lightly=datasource)
    jpegs = {name: f"jpeg of {name}".encode() for name in MEETING if name.lower().endswith("jpg")}
    renamed = find_meeting_thumbnails(suffix, MEETING)
    store = LocalStore(tmp_path, writable=True)
    assert write_thumbnails(store, datasources, jpegs, jpegs.get, renamed=renamed) == []
    for name, jpeg in jpegs.items():
        assert store.read(renamed.get(name) or thumbnail_key(suffix, name)) == jpeg


@given(names=NAMES)
def test_copies_are_apart_and_the_table_lists_those_that_are_called_otherwise(names):
    renamed = {row.name: row.written_as for row in list_renamed_copies(names, "png")}
    copies = [renamed.get(name, f"{name.rpartition('.')[0]}.png") for name in names]
    assert copies == name_copies(names, "png")
    assert len(set(copies)) == len(names)


@given(st.lists(st.text("ab_2", max_size=4)), st.lists(st.text("ab_2", max_size=4)))
def test_kept_apart_is_distinct_and_the_first_keeps_its_name(wanted, taken):
    names = keep_apart(wanted, taken)
    assert len({*names, *taken}) == len(names) + len(set(taken))
    firsts = [place for place, name in enumerate(wanted) if name not in wanted[:place] and name not in taken]
    assert all(names[place] == wanted[place] for place in firsts)


COLUMNS = [
    "a b",
    "a.b",
    "a_b",
    "a_b_2",
    "rank",
    "rank_",
    "filename",
    "objects of t",
    "id",
    "id_",
    "tägs",
    "taken_at_distance",
]


def choose():
    n = 3
    values = {name: np.arange(n) + 10.0 * place for place, name in enumerate(COLUMNS)}
    tasks = {
        name: TaskPredictions(
            name,
            "object-detection",
            (Category(0, "car"),),
            has_file=np.ones(n, dtype=bool),
            owners=np.arange(n),
            category_index=np.zeros(n, dtype=np.int64),
            scores=np.full(n, 0.5),
            boxes_px=np.full((n, 4), 2.0),
        )
        for name in ("a-b", "t")
    }
    catalog = Catalog(
        names=[f"{i}.jpg" for i in range(n)],
        sha256=np.zeros((n, 32), np.uint8),
        sizes_bytes=np.ones(n, np.int64),
        widths_px=np.full(n, 20, np.int32),
        heights_px=np.full(n, 10, np.int32),
        duplicate_of=np.arange(n),
        corrupt={},
    )
    selection = Selection(
        candidates=np.arange(n),
        selected=np.arange(n),
        radii=np.zeros(n, np.float32),
        removed=np.empty(0, np.int64),
        nearest_selected=np.empty(0, np.int64),
        nearest_distance=np.empty(0, np.float32),
        method="coreset",
        stopped_by="n_samples",
        distances=np.arange(n, dtype=float) + 1000,
        contributions=np.empty((n, 0)),
        filtered_by=np.empty(0, np.int64),
    )
    place = make_place(Datasource(type="LOCAL", resourcePath="/data/input/"), "/data/input/")
    columns = dict(zip(name_values(COLUMNS, catalog.medium), values.values(), strict=True))
    return ChosenImages(catalog, selection, place, catalog.names, columns, tasks)


def test_label_studio_keeps_every_value(tmp_path):
    chosen = choose()
    write_label_studio(tmp_path, chosen)
    for i, task in enumerate(json.loads((tmp_path / "label-studio-tasks.json").read_text())):
        numbers = sorted(value for key, value in task["data"].items() if key not in ("image", "filename", "rank"))
        assert numbers == sorted([1000.0 + i, *(i + 10.0 * place for place in range(len(COLUMNS)))])
        assert task["data"]["rank"] == i + 1
    assert Renamed("Label Studio column", "rank_", "rank__2") in list_label_studio_columns(chosen)


def test_fiftyone_keeps_every_value_and_task(tmp_path):
    chosen = choose()
    write_fiftyone(tmp_path, chosen)
    own = {"filepath", "tags", "metadata", "filename", "rank"}
    for i, sample in enumerate(json.loads((tmp_path / "fiftyone/samples.json").read_text())["samples"]):
        fields = {key: value for key, value in sample.items() if key not in own}
        numbers = sorted(value for value in fields.values() if isinstance(value, float))
        assert numbers == sorted([1000.0 + i, *(i + 10.0 * place for place in range(len(COLUMNS)))])
        assert sum(isinstance(value, dict) for value in fields.values()) == 2
    renamed = list_fiftyone_fields(chosen)
    assert [row.name for row in renamed] == ["a.b", "a_b", "rank_", "id_", "a-b"]
    assert {row.written_as for row in renamed} < fields.keys()


def test_fields_that_fiftyone_refuses_are_listed_in_the_same_table():
    columns = {"_secret": np.arange(3.0), "save": np.arange(3.0), "a b": np.arange(3.0), "id": np.arange(3.0)}
    renamed = list_fiftyone_fields(replace(choose(), columns=columns, tasks={}))
    assert renamed == [Renamed("FiftyOne field", "_secret", "secret"), Renamed("FiftyOne field", "save", "save_")]


def test_an_own_value_of_the_image_keeps_its_field_beside_one_that_is_equal_once_escaped():
    renamed = list_fiftyone_fields(replace(choose(), columns={"taken at distance": np.arange(3.0)}, tasks={}))
    assert renamed == [Renamed("FiftyOne field", "taken at distance", "taken_at_distance_2")]


def test_parquet_keeps_every_value(tmp_path):
    chosen = choose()
    write_selected_table(tmp_path, chosen)
    (row, *_) = pq.read_table(tmp_path / "selected.parquet").to_pylist()
    values = [value for value in row.values() if isinstance(value, float)]
    assert sorted(values) == sorted([1000.0, *(10.0 * place for place in range(len(COLUMNS)))])
    assert row["objects of t_2"] == 1
    assert Renamed("Parquet column", "t", "objects of t_2") in list_parquet_columns(chosen)


def test_the_table_lists_all_and_the_note_the_first(tmp_path):
    renamed = [Renamed("thumbnail", 'a "b",\n.png', "thumbs/a-png.jpg"), Renamed("FiftyOne field", "a.b", "a_b_2")]
    (note,) = write_output_names(tmp_path, renamed)
    with (tmp_path / "output_names.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["what", "name", "written_as"],
            *([row.what, row.name, row.written_as] for row in renamed),
        ]
    assert note.endswith("is 'thumbs/a-png.jpg', and 1 more; data/output_names.csv lists them.")
    assert write_output_names(tmp_path / "none", []) == []
    assert not (tmp_path / "none").exists()
