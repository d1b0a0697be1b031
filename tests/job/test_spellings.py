"""Names in other Unicode forms than the listing's: found where it is clear what is meant, said, and never mixed up."""

import csv
import json
import unicodedata
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.catalog.listing import list_images
from selection_job.datapool.datapool import Datapool, ListedFiles
from selection_job.datapool.known_contents import digest_versions
from selection_job.datapool.pool_part import PartHeader, PoolPart
from selection_job.embeddings.table_reading import read_table
from selection_job.formats.spellings import Spellings, compose
from selection_job.manifest.medium import IMAGES, VIDEOS
from selection_job.metadata.name_groups import match_names
from selection_job.results.tables.tables import write_embeddings
from selection_job.stores.sidecar_files import ImageRows, list_image_files, read_image_files
from selection_job.stores.store import ObjectInfo

LETTERS = ["é", "e\u0301", "K", "\u212a", "ế", "ê\u0301", "e\u0302\u0301", "各", "がぎ", "か\u3099き\u3099", "x"]
STEMS = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=2).map("".join)
SETS = st.sets(STEMS, max_size=8)
WORDS = ["Übung", "café", "naïve", "Ångström", "ガラス", "plain", "한글", "tiếng Việt"]


class Shelf:
    """A store over a dict of keys and contents, listed in the order of the dict."""

    url = "shelf://bucket/"
    parallel_reads = 8

    def __init__(self, objects):
        self.objects = objects

    def list(self, prefix="", *, unreadable=None):
        return (ObjectInfo(key, len(content), "1") for key, content in self.objects.items() if key.startswith(prefix))

    def read(self, key):
        return self.objects[key]


def alike(name, names):
    return [other for other in names if compose(other) == compose(name)]


def meant(name, names):
    """What a name means among others: the same, else the only one that is it in another form."""
    others = alike(name, names)
    return name if name in names else others[0] if len(others) == 1 else None


@given(SETS, STEMS)
def test_another_spelling_is_found_where_it_is_the_only_one(names, sought):
    spellings = Spellings(names, names.__contains__)
    assert spellings.list_others(sought) == sorted(set(alike(sought, names)) - {sought})
    if sought not in names:
        assert spellings.find_other(sought) == meant(sought, names)


@given(SETS, SETS)
def test_a_line_names_the_file_that_is_spelled_so_else_the_only_one_that_is_alike(files, lines):
    names = [f"{stem}.png" for stem in files]
    store = Shelf(dict.fromkeys([*names, "always.png"], b"x"))
    text = "\n".join(["always.png", *(f"{stem}.png" for stem in sorted(lines))])
    listing = list_images(store, Shelf({"list.txt": text.encode()}), relevant_filenames_file="list.txt")
    expected = {meant(line, files) for line in lines} - {None}
    assert listing.names == sorted([*(f"{stem}.png" for stem in expected), "always.png"])
    respelled = [line for line in lines - files if meant(line, files)]
    several = [line for line in lines - files if len(alike(line, files)) > 1]
    unknown = [line for line in lines if not alike(line, files)]
    notes = " ".join(listing.notes)
    told = (
        (len(respelled), "taken for the image of the same name"),
        (len(several), "more than one image of such a name"),
        (len(unknown), "no image of the input"),
    )
    for count, words in told:
        assert (words in notes) == (count > 0)
        assert not count or any(
            f"list.txt: {count} line{'s'[: count > 1]} " in note and words in note for note in listing.notes
        )


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_wildcards_and_their_patterns_take_names_in_either_form(listed, written):
    files = ["Übung/é_1.png", "Übung/é_2.png", "Übung/ö_1.png", "U/é_1.png", "ガラス/é.png"]
    text = "Übung/* é_* !é_2.png\nガ*\n"
    store = Shelf({normalize(listed, file): b"x" for file in files})
    listing = list_images(
        store, Shelf({"list.txt": normalize(written, text).encode()}), relevant_filenames_file="list.txt"
    )
    taken = ["Übung/é_2.png", "Übung/ö_1.png", "ガラス/é.png"]
    assert listing.names == sorted(normalize(listed, file) for file in taken)
    assert [("2 lines are spelled" in note) for note in listing.notes] == ([] if listed == written else [True])


def test_files_that_differ_by_their_spelling_alone_are_all_listed():
    names = sorted({normalize(form, f"{word}.png") for word in WORDS for form in ("NFC", "NFD")})
    assert list_images(Shelf(dict.fromkeys(names, b"x")), Shelf({})).names == names


@given(SETS, st.lists(STEMS, max_size=8, unique=True))
def test_the_file_of_an_image_is_spelled_as_it_is_else_the_only_one_that_is_alike(images, files):
    names = [f"{stem}.png" for stem in sorted(images)] or ["other.png"]
    objects = {f"f/{stem}.json": stem.encode() for stem in files}
    found = list_image_files(Shelf(objects), "f/", ImageRows(names), others=())
    contents = read_image_files(Shelf(objects), found, names, most_bytes=100)
    taken = {names[file.row].removesuffix(".png"): file.content.decode() for file in contents}
    meanings = {file: meant(file, images) for file in files}
    expected = {}
    for image in images:
        own = [file for file, meaning in meanings.items() if meaning == image]
        if image in files or len(own) == 1:
            expected[image] = image if image in files else own[0]
    assert taken == expected
    assert found.n_foreign == len(files) - len(expected)
    assert sorted(found.respelled.values()) == sorted(f"f/{f}.json" for i, f in expected.items() if i != f)
    backwards = list_image_files(Shelf(dict(reversed(objects.items()))), "f/", ImageRows(names), others=())
    assert backwards.fingerprint == found.fingerprint


@settings(max_examples=50)
@given(SETS, st.lists(STEMS, min_size=1, max_size=8, unique=True))
def test_the_row_of_an_image_is_spelled_as_it_is_else_the_only_one_that_is_alike(tmp_path_factory, images, rows):
    names = sorted(images)
    path = tmp_path_factory.getbasetemp() / "spelled.csv"
    write_embeddings(path, rows, np.arange(len(rows), dtype=np.float32)[:, None], np.arange(len(rows)))
    table = read_table(path, names, where="table")
    taken = {names[place]: rows[int(value)] for place, value in zip(table.rows, table.vectors[:, 0], strict=True)}
    meanings = {row: meant(row, images) for row in rows}
    expected = {}
    for image in images:
        own = [row for row, meaning in meanings.items() if meaning == image]
        if image in rows or len(own) == 1:
            expected[image] = image if image in rows else own[0]
    assert taken == expected
    assert sorted(table.respelled) == sorted(row for image, row in expected.items() if image != row)
    assert table.n_foreign == len(table.foreign) == len(rows) - len(expected)


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_the_words_of_an_expression_are_found_in_names_of_either_form(listed, written):
    names = [normalize(listed, f"{word}/köln_{i}.png") for i, word in enumerate(WORDS)]
    (column,), n_unmatched = match_names(normalize(written, "(?P<place>.+)/köln_"), names, ["place"])
    assert n_unmatched == 0
    assert [compose(word) for word in column.labels] == WORDS


def make_pool(files, medium):
    """A pool that has seen these files, and selected each, or the second frame of each."""
    listing = list_images(Shelf(dict.fromkeys((f"{f}.png" for f in files), b"x")), Shelf({}))
    k, digests = len(listing.names), digest_versions(listing)
    names = [f"{name[:-4]}-1-png.png" if medium is VIDEOS else name for name in listing.names]
    numbers = np.zeros(k, np.int64)
    part = PoolPart(
        PartHeader("first", 1, "2026-11-30T00:00:00+00:00", "given", "given"),
        names,
        vectors=np.arange(k, dtype=np.float32)[:, None],
        sha256=np.zeros((k, 32), np.uint8),
        sizes_bytes=numbers,
        widths_px=numbers.astype(np.int32),
        heights_px=numbers.astype(np.int32),
        digests=digests,
        orientations=np.ones(k, np.uint8),
        seen=np.sort(digests),
        contents=np.zeros(k, "S16"),
        places=np.zeros(k, "S8"),
    )
    return Datapool("words", "pool/", (part,))


def look_up(pool, listing):
    """What is listed, of which nothing was read, and the files that the pool has seen under another spelling."""
    known_as = pool.spell(listing)
    listed = ListedFiles(listing.names, digest_versions(known_as), np.zeros(len(listing.names), "S16"))
    seen = zip(listing.names, known_as.names, pool.find_seen(listed), strict=True)
    return listed, [name for name, known, is_seen in seen if is_seen and name != known]


@pytest.mark.parametrize("medium", [IMAGES, VIDEOS], ids=["images", "videos"])
@given(
    st.sets(st.sampled_from(WORDS), min_size=1),
    st.sampled_from(["NFC", "NFD"]),
    st.sampled_from(["NFC", "NFD"]),
    st.booleans(),
)
def test_the_pool_knows_its_images_in_either_form_unless_both_are_listed(medium, words, before, now, is_doubled):
    pool = make_pool({normalize(before, word) for word in words}, medium)
    there = {normalize(form, f"{word}.png") for word in words for form in {now, *(["NFC", "NFD"] * is_doubled)}}
    listing = list_images(Shelf(dict.fromkeys([*there, "new.png"], b"x")), Shelf({}))
    listed, respelled = look_up(pool, listing)
    is_new = pool.find_new(listed, process_all=False, medium=medium)
    old = {normalize(before, f"{word}.png") for word in words}
    old = old & there if is_doubled else {normalize(now, name) for name in old}
    assert {name for name, new in zip(listing.names, is_new, strict=True) if not new} == old
    assert set(respelled) == old - {normalize(before, name) for name in old}
    members = pool.find_members(listed, medium=medium)
    assert {name.replace("-1-png", "") for name in members.names} == old


def test_a_pooled_image_that_changed_and_is_spelled_otherwise_now_is_no_member():
    pool = make_pool({"café"}, IMAGES)
    listing = list_images(Shelf({normalize("NFD", "café.png"): b"x"}), Shelf({}))
    listing.versions[0] = "2"
    listed, respelled = look_up(pool, listing)
    assert respelled == []
    assert pool.find_members(listed).names == []


@pytest.fixture
def run_words(tmp_path, run_manifest):
    """Run over images listed in one form, with all that is known of them in another one; return picks and report."""

    def run(form):
        lightly = tmp_path / form / "lightly/.lightly"
        names = [f"{word}/{word}_{i}.png" for word in WORDS for i in range(3)]
        (lightly / "embeddings").mkdir(parents=True)
        files = {
            "relevant.txt": "".join(f"{normalize(form, name)}\n" for name in names[:-3]) + normalize(form, "tiếng*"),
            "predictions/tasks.json": ["cars"],
            "predictions/cars/schema.json": {"task_type": "object-detection", "categories": [{"id": 0, "name": "car"}]},
            "metadata/schema.json": [
                {"name": "Sharp", "path": "sharp", "defaultValue": 0, "valueDataType": "NUMERIC_FLOAT"}
            ],
        }
        for i, name in enumerate(names):
            spelled = normalize(form, name)
            box = {"category_id": 0, "bbox": [1, 1, 9, 9], "score": (i * 7 % 24) / 24}
            files[f"predictions/cars/{spelled[:-4]}.json"] = {"file_name": spelled, "predictions": [box]}
            files[f"metadata/{spelled[:-4]}.json"] = {"file_name": spelled, "metadata": {"sharp": i * 5 % 24}}
            path = tmp_path / form / "input" / normalize("NFD", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"never opened")
        for key, content in files.items():
            path = lightly / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        vectors = np.random.default_rng(1).normal(size=(len(names), 4)).astype(np.float32)
        table = [normalize(form, name) for name in names]
        write_embeddings(lightly / "embeddings/all.csv", table, vectors, np.arange(len(names)))
        folders = {key: {"type": "LOCAL", "resourcePath": str(tmp_path / form / key)} for key in ("input", "lightly")}
        worker = {"embeddings": "all.csv", "n_example_images": 0, "relevant_filenames_file": ".lightly/relevant.txt"}
        strategies = [
            {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}},
            {"input": {"type": "SCORES", "task": "cars", "score": "objectness_least_confidence"},
             "strategy": {"type": "WEIGHTS"}},
            {"input": {"type": "METADATA", "key": "sharp"}, "strategy": {"type": "WEIGHTS"}},
        ]  # fmt: skip
        spec = {
            "datasources": folders,
            "workerConfig": worker,
            "selectionConfig": {"n_samples": 8, "strategies": strategies},
        }
        names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "words"}}
        done = run_manifest({**names, "spec": spec})
        with (done.folder / "data/selection.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file)), done.report_notes

    return run


def test_a_run_makes_the_same_of_what_is_spelled_otherwise_and_says_so_in_report_and_log(run_words, caplog):
    caplog.set_level("INFO", "selection_job")
    (same, quiet), (other, notes) = run_words("NFD"), run_words("NFC")
    assert other == same
    assert all(unicodedata.is_normalized("NFD", row[0]) for row in same)
    assert not any("spelled" in note for note in quiet)
    said = [note for note in notes if "spelled in another Unicode form (NFC or NFD)" in note]
    assert [note.partition(":")[0] for note in said] == [
        ".lightly/relevant.txt", ".lightly/metadata/", "The task cars", ".lightly/embeddings/all.csv"
    ]  # fmt: skip
    assert [caplog.messages.count(note) for note in said] == [1, 1, 1, 1]
