"""Tables of embeddings in Parquet: what a run writes, and what a run reads."""

import csv
import random
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selection_job.embeddings.query_set import load_query_set, query_key
from selection_job.embeddings.table_reading import read_table
from selection_job.errors import UnusableData
from selection_job.stores.local.store import LocalStore

N, D = 12, 4
NAMES = [f"{i:02}.jpg" for i in range(N - 1)] + ["sub/a, b.png"]
VECTORS = np.random.default_rng(3).normal(size=(N, D)).astype(np.float32)
TABLES = ("embeddings", "embeddings_all", "normalized_embeddings", "selected_embeddings", "al_score_embeddings")


def lists(vectors=VECTORS, kind=None):
    return pa.array(list(vectors), kind or pa.list_(pa.float32()))


def fixed(vectors=VECTORS):
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def components(vectors=VECTORS):
    return {f"embedding_{i}": vectors[:, i] for i in range(vectors.shape[1])}


@pytest.fixture
def write(tmp_path):
    """Write a table where workerConfig.embeddings finds it."""

    def write_columns(columns, name="mine.parquet", **options):
        path = tmp_path / "output/.lightly/embeddings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path, **options)
        return path

    return write_columns


@pytest.fixture
def run(tmp_path, make_manifest, run_manifest):
    def run_with(**worker):
        for name in NAMES:
            path = tmp_path / "input" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no picture")
        given = {"checkpoint": None, "embeddings": "mine.parquet", "normalize_embeddings": False}
        worker = given | {"method": "coral", "stopping_condition": {"n_samples": 4}} | worker
        return run_manifest(make_manifest(tmp_path / "input", workerConfig=worker))

    return run_with


def read_csv(path):
    with path.open(newline="") as file:
        lines = list(csv.reader(file))[1:]
    return [line[0] for line in lines], np.array([line[1 : 1 + D] for line in lines], dtype=np.float32)


def read_parquet(path):
    table = pq.read_table(path)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), D)
    return table.column("filename").to_pylist(), np.stack(table.column("embedding").to_numpy())


def test_the_tables_in_parquet_hold_what_those_in_csv_hold(run, write):
    write({"filename": NAMES, "embedding": fixed(), "al_score": np.linspace(0.1, 1, N)})
    done = run(tables="BOTH")
    for name in TABLES:
        names, vectors = read_csv(done.folder / f"data/{name}.csv")
        found_names, found = read_parquet(done.folder / f"data/{name}.parquet")
        assert found_names == names
        np.testing.assert_array_equal(found, vectors)
    scores = pq.read_table(done.folder / "data/al_score_embeddings.parquet").column("al_score").to_numpy()
    np.testing.assert_allclose(scores, np.linspace(0.1, 1, N), rtol=1e-6)
    assert (done.folder / "exports/selected.parquet").exists()
    assert not (done.folder / "exports/embeddings.parquet").exists()


def test_parquet_takes_the_place_of_csv_and_the_next_run_reads_it(run, write):
    write({"filename": NAMES, "embedding": fixed(), "al_score": np.linspace(0.1, 1, N)})
    first = run(tables="PARQUET")
    written = {path.name for path in (first.folder / "data").iterdir()}
    assert {f"{name}.parquet" for name in TABLES} <= written
    assert not {f"{name}.csv" for name in TABLES} & written
    table = pq.read_table(first.folder / "data/embeddings.parquet")
    assert table.column("decision").to_pylist().count("selected") == 4
    key = (first.folder / "data/al_score_embeddings.parquet").relative_to(first.folder.parents[2])
    again = run(embeddings=str(key))
    assert again.selected == first.selected
    assert not any("are not used" in note for note in again.report_notes)


@pytest.mark.parametrize(
    "columns",
    [
        {"filename": NAMES, "embedding": fixed()},
        {"filenames": pa.array(NAMES).dictionary_encode(), "embedding": lists(kind=pa.large_list(pa.float64()))},
        {"filename": pa.array(NAMES, pa.large_string()), "embedding": lists(), "weather": ["wet"] * N},
        {"labels": [0] * N, **components(), "filenames": NAMES},
    ],
    ids=["fixed", "float64 in large lists", "lists", "a column a component, as pandas writes a CSV table"],
)
@pytest.mark.parametrize("rows_per_group", [5, 1000])
def test_every_layout_gives_back_every_bit(write, columns, rows_per_group):
    path = write(columns, row_group_size=rows_per_group)
    table = read_table(path, NAMES[::-1], where="t")
    np.testing.assert_array_equal(table.vectors, VECTORS[::-1])
    assert table.digest == sha256(path.read_bytes()).hexdigest()
    assert table.header.unused == (("weather",) if "weather" in columns else ())


def test_marks_mean_what_they_mean_in_csv(write):
    vectors = list(VECTORS)
    vectors[1], vectors[2] = np.full(D, np.nan, np.float32), None
    marks = {"masked": [i in (1, 2) for i in range(N)], "selected": [int(i == 0) for i in range(N)]}
    path = write({"filename": NAMES, "embedding": pa.array(vectors, pa.list_(pa.float32())), **marks})
    table = read_table(path, NAMES, where="t")
    assert table.rows.tolist() == [*range(3, N), 0]
    assert (table.masked.tolist(), table.n_preselected) == ([1, 2], 1)
    np.testing.assert_array_equal(table.vectors, VECTORS[table.rows])


def with_row(row, value):
    vectors = list(VECTORS)
    vectors[row] = value
    return pa.array(vectors, pa.list_(pa.float64()))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"filename": NAMES}, "found 0"),
        ({"name": NAMES, "embedding": fixed()}, "found 'name', 'embedding'"),
        ({"filename": NAMES, "embedding": NAMES}, "a column embedding of string"),
        ({"filename": list(range(N)), "embedding": fixed()}, "names of int64"),
        ({"filename": [*NAMES[:3], None, *NAMES[4:]], "embedding": fixed()}, "t, row 4: it has no name"),
        (
            {"filename": NAMES, "embedding": with_row(6, [1.0, 2.0])},
            "t, row 7: its vector has 2 numbers, those above 4",
        ),
        ({"filename": NAMES, "embedding": with_row(6, [1.0, 2.0, 3.0, np.inf])}, "t, row 7: it has a number"),
        ({"filename": NAMES, "embedding": with_row(6, [1.0, 2.0, 3.0, 1e300])}, "t, row 7: it has a number"),
        ({"filename": NAMES, "embedding": with_row(6, None)}, "t, row 7: it has a number"),
        ({"filename": [*NAMES[:-1], NAMES[0]], "embedding": fixed()}, "t, row 12: '00.jpg' has a row above already"),
        ({"filename": NAMES, "embedding": fixed(), "masked": [2] * N}, "t, row 1: masked is 2; expected 0 or 1"),
        ({"filename": NAMES, "embedding": fixed(), "masked": ["no"] * N}, "a column of string, expected numbers"),
        ({"filename": NAMES, "embedding_1": [1.0] * N}, "embedding_0 is missing"),
        ({"filename": NAMES, "embedding_0": NAMES}, "the column embedding_0 is of string"),
        ({"filename": NAMES[:0], "embedding": fixed(VECTORS[:0])}, "has a header and no rows"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_place(write, columns, message):
    with pytest.raises(UnusableData, match=message):
        read_table(write(columns), NAMES, where="t")


def test_damaged_files_end_with_a_sentence(write):
    path = write({"filename": NAMES, "embedding": fixed()})
    whole, draw = path.read_bytes(), random.Random(5)
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(4, len(content))] = draw.randrange(256)
        path.write_bytes(content[: draw.randint(4, len(content))] if draw.random() < 0.3 else content)
        try:
            read_table(path, NAMES, where="t")
        except UnusableData as error:
            assert str(error).startswith("t")


def test_a_query_set_may_be_in_parquet(tmp_path):
    dataset = "a" * 24
    path = tmp_path / query_key(dataset, "night").replace(".csv", ".parquet")
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"filename": NAMES, "embedding": fixed()}), path)
    found = load_query_set(LocalStore(tmp_path), dataset, "night", dimensions=D, scratch=tmp_path)
    np.testing.assert_array_equal(found, VECTORS)
