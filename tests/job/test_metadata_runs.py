"""Whole runs whose strategies look at metadata: of files, of names, and of the images themselves."""

import csv
import io
import json
import re

import jsonschema
import numpy as np
import pytest
import yaml
from PIL import Image
from plain_measures import measure_plainly

from selection_api import parse_manifest
from selection_job import __main__ as command_line
from selection_job.catalog.listing import list_images
from selection_job.errors import StorageUnavailable
from selection_job.images.image_measures import MEASURES
from selection_job.process.progress import Progress
from selection_job.reading import images as reading
from selection_job.report.report_json import read_schema
from selection_job.results.tables.metadata_table import write_metadata_table
from selection_job.run.context import set_up
from selection_job.stages import embedding as embedding_stage
from selection_job.stages.encoder import load_encoder_for_run

EVERY = ["lightly.width", "lightly.height", "lightly.sizeInBytes", *(f"lightly.{name}" for name in MEASURES)]
SCHEMA = [
    {"name": "Scene", "path": "scene", "defaultValue": "undefined", "valueDataType": "CATEGORICAL_STRING"},
    {"name": "Temperature", "path": "weather.temperature", "defaultValue": -5.5, "valueDataType": "NUMERIC_FLOAT"},
]


def weights(key):
    return {"input": {"type": "METADATA", "key": key}, "strategy": {"type": "WEIGHTS"}}


def threshold(key, value, operation="BIGGER"):
    strategy = {"type": "THRESHOLD", "threshold": value, "operation": operation}
    return {"input": {"type": "METADATA", "key": key}, "strategy": strategy}


def balance(key, **target):
    strategy = {"type": "BALANCE", "distribution": "TARGET", "target": target}
    return {"input": {"type": "METADATA", "key": key}, "strategy": strategy}


DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}


@pytest.fixture
def make_selecting(photos, make_manifest):
    """Return a function (strategies, more of selectionConfig, workerConfig) -> manifest over the photos."""

    def make(*strategies, worker=None, **more):
        selection = {"n_samples": 10, "strategies": list(strategies), **more}
        return make_manifest(
            photos.folder, selectionConfig=selection, workerConfig={"stopping_condition": None, **(worker or {})}
        )

    return make


@pytest.fixture
def write_metadata(tmp_path, photos, make_manifest):
    """Write a schema and values for every second readable photo; return them by name, defaults included."""
    folder = tmp_path / "output/.lightly/metadata"

    def write():
        folder.mkdir(parents=True)
        (folder / "schema.json").write_text(json.dumps(SCHEMA))
        values = dict.fromkeys(photos.readable, ("undefined", -5.5))
        for i, name in enumerate(photos.readable[::2]):
            values[name] = (["day, clear", "night"][i % 2], i / 4)
            scene, temperature = values[name]
            path = folder / re.sub(r"\.[^.]*$", ".json", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            metadata = {"scene": scene, "weather": {"temperature": temperature}}
            path.write_text(json.dumps({"file_name": name, "type": "image", "metadata": metadata}))
        return values

    return write


def read_table(done):
    with (done.folder / "data/metadata.csv").open(encoding="utf-8", newline="") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


def measure_files(photos, folder):
    found = {}
    for name in photos.readable:
        content = (folder / name).read_bytes()
        with Image.open(io.BytesIO(content)) as file:
            values = {"width": file.width, "height": file.height, "sizeInBytes": len(content)}
            values |= measure_plainly(file.convert("RGB"))
        found[name] = {f"lightly.{key}": value for key, value in values.items()}
    return found


@pytest.mark.slow
def test_every_computed_value_equals_the_plain_one_in_one_reading_though_the_decoder_is_fast(
    photos, make_selecting, run_manifest
):
    manifest = make_selecting(DIVERSITY, *map(weights, EVERY), worker={"decoder": "fast", "num_threads": 3})
    done = run_manifest(manifest, drawn=True)
    table, expected = read_table(done), measure_files(photos, photos.folder)
    assert list(table) == photos.readable
    assert [name for name, row in table.items() if row["selected"] == "true"] == sorted(done.selected)
    for name, row in table.items():
        values = {key: float(row[key]) for key in EVERY}
        assert values == {key: pytest.approx(value, rel=1e-9, abs=1e-5) for key, value in expected[name].items()}
    assert done.report["generalInformation"]["runInformation"]["bytesReread"] == 0


@pytest.mark.slow
def test_a_mix_of_file_and_computed_metadata_selects_and_says_what_each_did(
    photos, make_selecting, run_manifest, write_metadata
):
    manifest = make_selecting(
        threshold("lightly.sharpness", 20),
        threshold("weather.temperature", 0, "BIGGER_EQUAL"),
        DIVERSITY,
        weights("weather.temperature"),
        balance("scene", **{"day, clear": 0.8, "night": 0.2}),
        n_samples=5,
    )
    values = write_metadata()
    done = run_manifest(manifest, drawn=True)
    table, sharpness = read_table(done), measure_files(photos, photos.folder)
    assert {name: (row["scene"], float(row["weather.temperature"])) for name, row in table.items()} == values
    passing = [name for name in values if sharpness[name]["lightly.sharpness"] > 20 and values[name][1] >= 0]
    assert len(done.selected) == 5
    assert set(done.selected) <= set(passing)
    report = done.report
    (balanced,) = (each for each in report["selectionInformation"]["strategies"] if each["type"] == "BALANCE")
    assert balanced["selected"] > balanced["random"]
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    names = [strategy["name"] for strategy in report["selectionInformation"]["strategies"]]
    assert names == [
        "THRESHOLD on METADATA lightly.sharpness BIGGER 20",
        "THRESHOLD on METADATA weather.temperature BIGGER_EQUAL 0",
        "DIVERSITY on EMBEDDINGS",
        "WEIGHTS on METADATA weather.temperature",
        "BALANCE on METADATA scene",
    ]
    assert any("18 files for 40 images" in note for note in done.report_notes)


def test_groups_of_names_balance_a_selection_and_filter_it(photos, make_selecting, run_manifest):
    regex = r"^walk (?P<walk>\d)/frame_(?P<frame>\d)"
    manifest = make_selecting(
        threshold("frame", 3, "SMALLER"),
        balance("walk", **{"0": 0.5, "5": 0.25}),
        lightly_path_regex=regex,
        n_samples=4,
    )
    done = run_manifest(manifest)
    found = {name: re.match(regex, name) for name in photos.readable}
    walks = [found[name]["walk"] for name in done.selected]
    assert (walks.count("0"), walks.count("5")) == (2, 1)
    assert max(int(found[name]["frame"]) for name in done.selected) < 3
    table = read_table(done)
    expected = {name: (match["frame"], match["walk"]) if match else ("", "") for name, match in found.items()}
    assert {name: (row["frame"], row["walk"]) for name, row in table.items()} == expected


def test_beside_given_embeddings_sizes_are_known_and_weights_below_0_count_from_the_smallest(
    photos, make_selecting, run_manifest, write_metadata, tmp_path
):
    rows = [f'"{name.replace(chr(34), chr(34) * 2)}",{i},{i**2},0' for i, name in enumerate(photos.readable)]
    path = tmp_path / "output/.lightly/embeddings/a.csv"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(["filenames,embedding_0,embedding_1,labels", *rows]) + "\n")
    strategies = threshold("lightly.sizeInBytes", 1000), weights("weather.temperature")
    manifest = make_selecting(*strategies, worker={"embeddings": "a.csv"}, n_samples=22)
    values = write_metadata()
    done = run_manifest(manifest)
    large = [name for name in photos.readable if (photos.folder / name).stat().st_size > 1000]
    warmest = sorted((values[name][1] for name in large), reverse=True)
    assert [values[name][1] for name in done.selected] == warmest[:22]
    assert warmest[0] > 0 > warmest[21]


@pytest.fixture
def embed(tmp_path):
    """Return a function manifest -> catalog, which ends behind the embedding stage."""
    counter = iter(range(100))

    def run(manifest):
        scratch = tmp_path / f"embed-{next(counter)}"
        scratch.mkdir()
        place = set_up(parse_manifest(manifest), scratch, Progress(quiet=True))
        listing = list_images(place.source, place.target)
        return embedding_stage.embed_images(place, listing, load_encoder_for_run(place)).catalog

    return run


@pytest.fixture
def asked(monkeypatch):
    """What was measured of the images: a list with the names for each."""
    names_of_images = []
    measure = reading.measure_image
    monkeypatch.setattr(
        reading, "measure_image", lambda image, names: names_of_images.append(names) or measure(image, names)
    )
    return names_of_images


def test_only_what_a_strategy_names_is_measured(make_selecting, embed, asked):
    assert embed(make_selecting(DIVERSITY, threshold("lightly.width", 10))).measures == {}
    assert set(asked) == {()}
    catalog = embed(make_selecting(weights("lightly.snr"), threshold("lightly.contrast", 0), weights("lightly.width")))
    assert set(catalog.measures) == {"contrast", "snr"}
    assert set(asked) == {(), ("contrast", "snr")}


def test_the_check_before_training_measures_nothing(make_selecting, tmp_path, asked):
    (tmp_path / "scratch").mkdir()
    manifest = parse_manifest(make_selecting(weights("lightly.sharpness"), worker={"enable_training": True}))
    place = set_up(manifest, tmp_path / "scratch", Progress(quiet=True))
    embedding_stage.check_images(place, list_images(place.source, place.target))
    assert set(asked) == {()}


def test_a_second_try_measures_nothing_again_unless_something_else_is_asked(make_selecting, embed, monkeypatch):
    def select(*keys):
        manifest = make_selecting(DIVERSITY, *map(weights, keys))
        return {**manifest, "metadata": {"name": "same", "uid": "0" * 36}}  # one folder of stages, whatever is asked

    first = embed(select("lightly.sharpness"))

    def fail(*args, **kwargs):
        raise StorageUnavailable("read again")

    monkeypatch.setattr(embedding_stage, "read_images", fail)
    again = embed(select("lightly.sharpness"))
    np.testing.assert_array_equal(again.measures["sharpness"], first.measures["sharpness"])
    with pytest.raises(StorageUnavailable, match="read again"):
        embed(select("lightly.snr"))


def run_command(manifest, tmp_path, capfd, command="run"):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(manifest))
    code = command_line.main([command, str(path)], termination_message=tmp_path / "word")
    out, err = capfd.readouterr()
    return code, out + err


def test_the_command_ends_with_3_for_wrong_files_and_2_for_a_wrong_expression(
    make_selecting, write_metadata, tmp_path, capfd
):
    manifest = make_selecting(weights("weather.temperature"))
    write_metadata()
    (tmp_path / "output/.lightly/metadata/UPPER.json").write_text('{"metadata": {"scene": 5}}')
    code, said = run_command(manifest, tmp_path, capfd)
    assert code == 3
    assert ".lightly/metadata/UPPER.json: scene: found the number 5, expected a string" in said
    wrong = make_selecting(weights("a"), lightly_path_regex="(?P<a>x)(?=y)")
    for command in ("run", "check"):
        code, said = run_command(wrong, tmp_path, capfd, command)
        assert code == 2
        assert "spec.selectionConfig.lightly_path_regex: is no regular expression of RE2's syntax" in said


def test_there_is_no_table_where_no_strategy_looks_at_metadata(tmp_path):
    write_metadata_table(tmp_path / "metadata.csv", ["a.jpg"], np.array([0]), [])
    assert list(tmp_path.iterdir()) == []


def test_the_table_of_metadata_survives_hostile_names_and_words(tmp_path):
    from selection_job.metadata.metadata_column import MetadataColumn

    words = ['a "b", c', "two\nlines", "\r", "", "=1+1", "日本"]
    names = [f"{word}.jpg" for word in words]
    numbers = np.array([0.1, -7.0, np.nan, 1e300, 1 / 3, 5e-324])
    columns = [MetadataColumn('k"e,y', labels=words), MetadataColumn("n", numbers=numbers)]
    path = tmp_path / "data" / "metadata.csv"
    write_metadata_table(path, names, np.array([4, 0]), columns)
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["filename", "selected", 'k"e,y', "n"]
    assert [(row[0], row[2]) for row in rows] == list(zip(names, words, strict=True))
    assert [row[1] for row in rows] == ["true", "false", "false", "false", "true", "false"]
    assert rows[2][3] == ""
    assert [float(row[3]) for row in rows if row[3]] == [value for value in numbers.tolist() if value == value]
    assert rows[1][3] == "-7"
