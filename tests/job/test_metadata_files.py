"""Custom metadata: the schema, the images' files, and what is said where they can't be used."""

import json

import numpy as np
import pytest

from selection_api import parse_manifest
from selection_job.errors import InvalidManifest, UnusableData
from selection_job.metadata.column_files import load_metadata_columns, save_metadata_columns
from selection_job.metadata.loading import load_metadata
from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.metadata.metadata_files import MOST_BYTES
from selection_job.process.progress import Progress
from selection_job.run.context import set_up
from selection_job.stages.sources import list_source_versions

NAMES = ["a.jpg", "cam_01/b.png", "cam_02/c.jpg"]
SCHEMA = [
    {"name": "Scene", "path": "scene", "defaultValue": "undefined", "valueDataType": "CATEGORICAL_STRING"},
    {"name": "Temperature", "path": "weather.temperature", "defaultValue": 0.5, "valueDataType": "NUMERIC_FLOAT"},
    {"name": "Pressure", "path": "weather.pressure", "defaultValue": 7, "valueDataType": "NUMERIC_INT"},
    {"name": "Vehicle", "path": "vehicle_id", "defaultValue": 0, "valueDataType": "CATEGORICAL_INT"},
    {"name": "Rain", "path": "rain", "defaultValue": False, "valueDataType": "CATEGORICAL_BOOLEAN"},
    {"name": "Gain", "path": "sensors[1].gain", "valueDataType": "NUMERIC_FLOAT"},
    {"name": "Seen", "path": "seen", "defaultValue": "unknown", "valueDataType": "CATEGORICAL_TIMESTAMP"},
    {"name": "Day", "path": "day", "valueDataType": "CATEGORICAL_DATETIME"},
    {"name": "Remark", "path": "remark", "valueDataType": "OTHER_STRING"},
]
FULL = {
    "scene": "highway",
    "weather": {"temperature": 10, "pressure": 1.0, "other": [1]},
    "vehicle_id": 321,
    "rain": True,
    "sensors": [{"gain": 1}, {"gain": 2.5}],
    "seen": 1700000000,
    "day": "2026-11-23T10:00:00Z",
    "remark": "x" * 1000,
}
NUMBERS = ("weather.temperature", "weather.pressure", "sensors[1].gain")
WORDS = ("scene", "vehicle_id", "rain", "seen", "day")


def strategy(key):
    kind = {"type": "WEIGHTS"} if key in NUMBERS else {"type": "BALANCE", "distribution": "UNIFORM"}
    return {"input": {"type": "METADATA", "key": key}, "strategy": kind}


@pytest.fixture
def lightly(tmp_path):
    """The lightly datasource, a folder with a schema."""
    (tmp_path / "input").mkdir()
    (tmp_path / "scratch").mkdir()
    write(tmp_path / "lightly", "schema.json", SCHEMA)
    return tmp_path / "lightly"


def write(lightly, name, document):
    path = lightly / ".lightly" / "metadata" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())


def make_place(lightly, strategies, regex=None):
    spec = {
        "datasources": {
            "input": {"type": "LOCAL", "resourcePath": str(lightly.parent / "input")},
            "lightly": {"type": "LOCAL", "resourcePath": str(lightly)},
        },
        "selectionConfig": {"n_samples": 2, "strategies": strategies, "lightly_path_regex": regex},
    }
    names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    return set_up(parse_manifest({**names, "spec": spec}), lightly.parent / "scratch", Progress(quiet=True))


def load(lightly, *keys, names=NAMES, regex=None):
    found = load_from(make_place(lightly, [strategy(key) for key in keys], regex), list(names))
    return {column.key: column for column in found.value}, list(found.notes)


def load_from(place, names=NAMES):
    return load_metadata(
        place.target, names, place.goal.strategies, place.needs, stages=place.stages, progress=place.progress
    )


def file_of(metadata, **more):
    return {"metadata": metadata, **more}


def test_values_stand_where_the_schema_says_and_defaults_elsewhere(lightly):
    write(lightly, "cam_01/b.json", file_of(FULL, file_name="cam_01/b.png", type="image"))
    write(lightly, "cam_02/c.json", file_of({"weather": {"temperature": None}, "rain": None}))
    columns, notes = load(lightly, *NUMBERS, *WORDS)
    found = {key: columns[key].numbers.tolist() for key in NUMBERS} | {key: columns[key].labels for key in WORDS}
    assert found.pop("sensors[1].gain")[1] == 2.5
    assert np.isnan(columns["sensors[1].gain"].numbers[[0, 2]]).all()
    assert found == {
        "weather.temperature": [0.5, 10, 0.5],
        "weather.pressure": [7, 1, 7],
        "scene": ["undefined", "highway", "undefined"],
        "vehicle_id": ["0", "321", "0"],
        "rain": ["false", "true", "false"],
        "seen": ["unknown", "1700000000", "unknown"],
        "day": ["", "2026-11-23T10:00:00Z", ""],
    }
    assert len(notes) == 1
    assert "2 files for 3 images" in notes[0]


def test_only_the_keys_that_strategies_name_are_kept(lightly):
    write(lightly, "a.json", file_of(FULL))
    assert list(load(lightly, "scene")[0]) == ["scene"]


def test_files_of_no_image_are_noted_and_not_read(lightly):
    write(lightly, "a.json", file_of(FULL))
    write(lightly, "cam_01/b/c.json", b"broken")
    write(lightly, "notes.txt", b"hello")
    _, notes = load(lightly, "scene")
    assert "2 files belong to no image that takes part" in notes[0]
    assert "cam_01/b/c.json" in notes[0]


def test_images_that_share_a_file_share_its_values_unless_it_names_one(lightly):
    names = ["x.jpg", "x.png", "y.jpg", "y.png"]
    write(lightly, "x.json", file_of({"scene": "both"}))
    write(lightly, "y.json", file_of({"scene": "one"}, file_name="y.png"))
    columns, _ = load(lightly, "scene", names=names)
    assert columns["scene"].labels == ["both", "both", "undefined", "one"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "is empty"),
        (b"{'scene': 1}", "is no JSON: .* at line 1, column 2"),
        (b"\xff", "is not UTF-8 text"),
        (b'{"metadata": {"weather": {"temperature": NaN}}}', "holds NaN, which is no number in JSON"),
        (b'{"metadata": {"weather": {"temperature": 1e400}}}', "beyond the range of numbers"),
        (b'{"metadata": {"scene": "a", "scene": "b"}}', "has the key the string 'scene' twice"),
        (b'{"metadata": ' + b'{"a":' * 300 + b"1" + b"}" * 301, "is nested too deeply"),
        (b" " * (MOST_BYTES + 1), "too large: 1048577 bytes"),
        ([], "found an array, expected an object with the key metadata"),
        ({"scene": "a"}, r"has no key metadata \(its keys: 'scene'\)"),
        ({"metadata": "a"}, "metadata: found the string 'a', expected an object"),
        (file_of({}, type="video"), "type: found the string 'video', expected 'image' or 'frame'"),
        (file_of({}, file_name="b.jpg"), "file_name: found the string 'b.jpg', expected 'a.jpg'"),
        (file_of({"lightly": {"sharpness": 1}}), "metadata.lightly: is reserved"),
        (file_of({"weather": {"temperature": "12"}}), r"re: found the string '12', expected a number \(NUMERIC_F"),
        (file_of({"weather": {"temperature": True}}), "weather.temperature: found true, expected a number"),
        (file_of({"weather": {"pressure": 1.5}}), "weather.pressure: found the number 1.5, expected a whole number"),
        (file_of({"weather": 5}), "weather.temperature: found the number 5 at weather, expected an object"),
        (file_of({"sensors": {"gain": 1}}), r"sensors\[1\].gain: found an object at sensors, expected an array"),
        (file_of({"sensors": [1, 2]}), r"sensors\[1\].gain: found the number 2 at sensors\[1\], expected an object"),
        (file_of({"scene": 5}), "scene: found the number 5, expected a string of at most 253 characters"),
        (file_of({"scene": "x" * 254}), "scene: found the string 'x+…, expected a string of at most 253 characters"),
        (file_of({"vehicle_id": "321"}), "vehicle_id: found the string '321', expected a whole number"),
        (file_of({"rain": 1}), "rain: found the number 1, expected true or false"),
        (file_of({"seen": "yesterday"}), "seen: found the string 'yesterday', expected a number"),
        (file_of({"remark": 7}), "remark: found the number 7, expected a string"),
    ],
)  # fmt: skip
def test_a_file_that_can_not_be_used_ends_the_run_and_is_named(lightly, document, message):
    write(lightly, "a.json", document)
    write(lightly, "cam_01/b.json", file_of(FULL))
    with pytest.raises(UnusableData, match=message) as caught:
        load(lightly, "scene")
    assert f"1 of 2 files of metadata in {lightly}/.lightly/metadata/ can't be used" in str(caught.value)
    assert "\n  .lightly/metadata/a.json: " in str(caught.value)


def test_of_many_wrong_files_the_first_five_are_named(lightly):
    names = [f"{i}.jpg" for i in range(40)]
    for name in names:
        write(lightly, name.replace(".jpg", ".json"), file_of({"scene": 1}))
    with pytest.raises(UnusableData, match="40 of 40 files") as caught:
        load(lightly, "scene", names=names)
    assert str(caught.value).count("\n  ") == 5


def test_names_that_are_no_plain_text_are_named_on_one_line(lightly):
    for name in ("new\nline\x1b[31m", "caf\udce9"):
        write(lightly, f"{name}.json", b"[")
    with pytest.raises(UnusableData) as caught:
        load(lightly, "scene", names=["caf\udce9.jpg", "new\nline\x1b[31m.jpg"])
    assert str(caught.value).count("\n") == 2
    assert r"new\nline\x1b[31m.json: is no JSON" in str(caught.value)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({}, "schema.json holds an object, expected a list"),
        ([5], r"\[0\]: found the number 5, expected an object"),
        ([{"name": "a", "valueDataType": "NUMERIC_INT"}], r"\[0\].path: found nothing, expected a string"),
        ([{"name": "", "path": "a", "valueDataType": "NUMERIC_INT"}], r"\[0\].name: found the string '', expected"),
        ([{"name": "a", "path": "a", "valueDataType": "NUMERICAL_INT"}], "'NUMERICAL_INT', expected one of NUMERIC"),
        ([{**SCHEMA[1], "defaultValue": "none"}], r"\[0\].defaultValue: found the string 'none', expected a number"),
        ([{**SCHEMA[0], "defaultValue": []}], "defaultValue: found an array, expected a string, a number, true or fal"),
        ([SCHEMA[0], SCHEMA[0]], "has the path 'scene' more than once"),
        ([{**SCHEMA[0], "path": "a..b"}], r"\[0\].path: found the string 'a..b', expected keys joined by dots"),
        ([{**SCHEMA[0], "path": "a[x]"}], "expected keys joined by dots"),
        ([{**SCHEMA[0], "path": "lightly.sharpness"}], "lightly is reserved"),
        ([SCHEMA[0]] * 1001, "has 1,001 entries, the limit is 1,000"),
        (b"[", "schema.json is no JSON"),
    ],
)  # fmt: skip
def test_a_wrong_schema_is_refused_with_the_entry(lightly, schema, message):
    write(lightly, "schema.json", schema)
    with pytest.raises(UnusableData, match=message) as caught:
        load(lightly, "scene")
    assert f"{lightly}/.lightly/metadata/schema.json" in str(caught.value)


def test_what_is_missing_is_said_before_an_image_is_read(lightly):
    with pytest.raises(UnusableData, match=r"None of the 3 images has a file .* \(no others\)"):
        load(lightly, "scene")
    write(lightly, "B.json", file_of(FULL))
    with pytest.raises(UnusableData, match=r"1 other file, such as '\.lightly/metadata/B\.json'"):
        load(lightly, "scene")
    with pytest.raises(UnusableData, match=r"strategies\[0\]: There are no metadata 'scnee': .* 'scene',"):
        load(lightly, "scnee")
    with pytest.raises(UnusableData, match=r"'remark' are OTHER_STRING .* Make it CATEGORICAL_STRING"):
        load(lightly, "remark")
    (lightly / ".lightly/metadata/schema.json").unlink()
    with pytest.raises(UnusableData, match=r"look at the metadata 'scene', and .*schema.json does not exist"):
        load(lightly, "scene")


def test_words_and_numbers_are_told_apart_before_an_image_is_read(lightly):
    write(lightly, "a.json", file_of(FULL))
    place = make_place(
        lightly, [strategy("scene"), {"input": {"type": "METADATA", "key": "rain"}, "strategy": {"type": "WEIGHTS"}}]
    )
    with pytest.raises(UnusableData, match=r"\[1\]: The metadata 'rain' hold words, and WEIGHTS needs numbers"):
        load_from(place)
    balance = {**strategy("scene"), "input": {"type": "METADATA", "key": "weather.pressure"}}
    with pytest.raises(UnusableData, match=r"'weather.pressure' are numbers, and BALANCE needs categories"):
        load_from(make_place(lightly, [balance]))


def test_a_second_try_takes_what_the_first_has_read_until_a_file_changes(lightly, monkeypatch):
    write(lightly, "a.json", file_of({"scene": "first"}))
    first, notes = load(lightly, "scene", "weather.temperature")

    def fail(*args, **kwargs):
        raise AssertionError("read again")

    with monkeypatch.context() as patched:
        patched.setattr("selection_job.metadata.loading.read_columns", fail)
        again, same_notes = load(lightly, "scene", "weather.temperature")
    assert again["scene"].labels == first["scene"].labels == ["first", "undefined", "undefined"]
    assert again["weather.temperature"].numbers.tolist() == [0.5] * 3
    assert same_notes == notes
    write(lightly, "a.json", file_of({"scene": "second"}))
    assert load(lightly, "scene", "weather.temperature")[0]["scene"].labels[0] == "second"


def test_a_damaged_kept_stage_is_no_answer(tmp_path):
    save_metadata_columns(
        [MetadataColumn("a", numbers=np.array([1.0, np.nan])), MetadataColumn("b", labels=["x", ""])], tmp_path
    )
    numbers, words = load_metadata_columns(tmp_path, 2)
    assert (words.labels, np.isnan(numbers.numbers).tolist()) == (["x", ""], [False, True])
    with pytest.raises(ValueError, match="for 3 images"):
        load_metadata_columns(tmp_path, 3)
    content = (tmp_path / "metadata.npz").read_bytes()
    for damaged in (content[:-30], b"PK" + content[2:200], b""):
        (tmp_path / "metadata.npz").write_bytes(damaged)
        with pytest.raises(ValueError):
            load_metadata_columns(tmp_path, 2)


PATTERN = r"^cam_(?P<camera>\d+)/(?P<letter>[a-z])"


def test_groups_of_names_are_words_and_numbers_where_all_are(lightly):
    columns, notes = load(lightly, "camera", "letter", regex=PATTERN)
    assert columns["camera"].labels == ["", "01", "02"]
    np.testing.assert_array_equal(columns["camera"].numbers, [np.nan, 1, 2])
    assert (columns["letter"].labels, columns["letter"].numbers) == (["", "b", "c"], None)
    assert notes == [
        "lightly_path_regex does not match 1 of 3 names; these images have no value of 'camera', 'letter'."
    ]


def test_groups_and_files_are_used_side_by_side_and_groups_go_first(lightly):
    write(lightly, "a.json", file_of({"scene": "file"}))
    columns, _ = load(lightly, "camera", "scene", regex=PATTERN)
    assert columns["scene"].labels == ["file", "undefined", "undefined"]
    columns, _ = load(lightly, "scene", regex="(?P<scene>cam)")
    assert columns["scene"].labels == ["", "cam", "cam"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<a>x", "missing \\)"),
        ("(?P<a>x)(?=y)", r"RE2's syntax: invalid perl operator: \(\?="),
        (r"(?P<a>x)\1", "no look-around and no back-references"),
        ("(?P<a>x)(y{1000}){1000}", "invalid repetition size"),
        (r"\(?P<a>x\)", "has no named group"),
    ],
)
def test_a_wrong_expression_is_a_fault_of_the_manifest(lightly, pattern, message, capfd):
    with pytest.raises(InvalidManifest, match=f"lightly_path_regex: .*{message}") as caught:
        load(lightly, "a", regex=pattern)
    assert caught.value.exit_code == 2
    assert capfd.readouterr().err == ""


def test_an_expression_that_matches_nothing_is_told(lightly):
    with pytest.raises(UnusableData, match=r"'\(\?P<a>zzz\)' matches none of the 3 names .*'a.jpg', 'cam_01/b.png'"):
        load(lightly, "a", regex="(?P<a>zzz)")
    with pytest.raises(UnusableData, match="leaves the group b empty in all names"):
        load(lightly, "b", regex="(?P<a>a)(?P<b>z*)")


def test_an_expression_made_to_hang_does_not(lightly):
    names = [f"{'a' * 5000}{i}!.jpg" for i in range(20)] + ["aaaa"]
    columns, _ = load(lightly, "x", regex="^(?P<x>(a+)+)$", names=names)
    assert columns["x"].labels[-1] == "aaaa"


def test_names_of_other_alphabets_match_and_names_that_are_no_text_do_not(lightly):
    names = ["日本/ü.jpg", "caf\udce9/1.jpg", "new\nline/2.jpg"]
    columns, _ = load(lightly, "folder", regex=r"(?s)^(?P<folder>[^/]+)/", names=names)
    assert columns["folder"].labels == ["日本", "", "new\nline"]


def test_only_plain_decimal_numbers_are_numbers(lightly):
    for names, expected in (
        (["1.5.x", "-2.x"], [1.5, -2]),
        (["1e5.x", "2.x"], None),
        (["inf.x", "nan.x"], None),
        (["١.x", "2.x"], None),
        (["0x1.x", "2.x"], None),
        (["9" * 400 + ".x"], None),
    ):
        columns, _ = load(lightly, "n", regex=r"^(?P<n>.*)\.x$", names=names)
        numbers = columns["n"].numbers
        assert (numbers is None and expected is None) or numbers.tolist() == expected


def test_files_make_a_run_run_again_only_where_they_are_read(lightly):
    write(lightly, "a.json", file_of(FULL))
    keys = [".lightly/metadata/a.json", ".lightly/metadata/schema.json"]
    assert [key for key, _ in list_source_versions(make_place(lightly, [strategy("scene")], PATTERN))] == keys
    assert list_source_versions(make_place(lightly, [strategy("letter")], PATTERN)) == []
    computed = {"input": {"type": "METADATA", "key": "lightly.snr"}, "strategy": {"type": "WEIGHTS"}}
    assert list_source_versions(make_place(lightly, [computed])) == []
