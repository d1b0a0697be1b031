"""Embedding tables as text: the kernel against Python's own formatting, and back through the reader's kernel."""

import csv
import io

import numpy as np
import pytest

from selection_job.formats.csv_fields import quote_field
from selection_job.numeric.csv_rows import NAME, TEXT, parse_rows
from selection_job.results.tables import embedding_lines
from selection_job.results.tables.embedding_lines import format_compiled, format_table

rng = np.random.default_rng(0)
EDGES = [
    0.0, -0.0, 1, -1, 9.99999999, 999999999, 1e8, 1e9, 1e-4, 9.9999999e-5, 1e-5, 1.1e-9, 1.0999999e-9, 1e-9, 9e8,
    1e-30, -1e-30, 3.4028235e38, 1e-45, 0.5, 2.0**-13, 2.0**-14, 3 * 2.0**-13, 100, 1234567, 16777216, 0.1, 1 / 3,
]  # fmt: skip
KINDS = {
    "edges": np.array(EDGES, dtype=np.float32),
    "all bit patterns": rng.integers(0, 2**32, 50_000, dtype=np.uint64).astype(np.uint32).view(np.float32),
    "embeddings": rng.normal(size=50_000).astype(np.float32),
    "magnitudes": (10 ** rng.uniform(-12, 12, 50_000)).astype(np.float32),
    "powers of two": (2.0 ** np.arange(-149, 128)).astype(np.float32),
    "short binary fractions": (rng.integers(1, 2**24, 50_000) * 2.0 ** rng.integers(-40, 5, 50_000)).astype(np.float32),
    "powers of ten and neighbours": np.concatenate(
        [np.nextafter((10.0 ** np.arange(-12, 12)).astype(np.float32), np.float32(to)) for to in (0, 1e30)]
        + [(10.0 ** np.arange(-12, 12)).astype(np.float32)]
    ),
}


@pytest.fixture(params=KINDS, ids=lambda kind: kind.replace(" ", "-"))
def values(request):
    given = KINDS[request.param]
    return given[np.isfinite(given)]


def test_the_kernel_writes_what_python_writes(values):
    text = bytes(format_compiled(["a"], values[None, :], np.zeros(1, np.int64))).decode()
    assert text == f"a,{','.join(map('%.9g'.__mod__, values.tolist()))},0\n"


def test_the_reader_gets_back_every_bit(values):
    text = np.frombuffer(
        bytes(format_compiled(["a"] * len(values), values[:, None], np.zeros(len(values), np.int64))), dtype=np.uint8
    )
    numbers, slow = np.empty((len(values), 1), np.float32), np.empty((len(values) + 3, 4), np.int64)
    names, starts = np.empty((len(values), 3), np.int64), np.empty(len(values), np.int64)
    parsed = parse_rows(text, np.array([NAME, 0, TEXT]), numbers, names, starts, slow)
    assert (parsed.n_rows, parsed.end) == (len(values), len(text))
    for row, _, first, end in slow[: parsed.n_slow].tolist():
        numbers[row, 0] = np.float32(float(text[first:end].tobytes()))
    np.testing.assert_array_equal(numbers[:, 0].view(np.uint32), values.view(np.uint32))


@pytest.mark.parametrize("make", [repr, "%.17g".__mod__, "%.25e".__mod__, "%.3f".__mod__, "%+.12E".__mod__])
def test_any_notation_is_read_as_float32_of_the_float64(make):
    doubles = rng.normal(size=20_000) * 10.0 ** rng.integers(-46, 38, 20_000)
    lines = "".join(f"a,{make(value)},0\n" for value in doubles.tolist()).encode()
    text = np.frombuffer(lines, dtype=np.uint8)
    n = len(doubles)
    numbers, slow = np.empty((n, 1), np.float32), np.empty((n + 3, 4), np.int64)
    parsed = parse_rows(
        text, np.array([NAME, 0, TEXT]), numbers, np.empty((n, 3), np.int64), np.empty(n, np.int64), slow
    )
    is_read = np.ones(n, dtype=bool)
    is_read[slow[: parsed.n_slow, 0]] = False
    expected = np.array([float(make(value)) for value in doubles.tolist()]).astype(np.float32)
    np.testing.assert_array_equal(numbers[is_read, 0], expected[is_read])


def test_embeddings_in_full_precision_hardly_ever_take_the_slow_way():
    doubles = rng.normal(size=20_000)
    text = np.frombuffer("".join(f"a,{value!r},0\n" for value in doubles.tolist()).encode(), dtype=np.uint8)
    n = len(doubles)
    places, starts, slow = np.empty((n, 3), np.int64), np.empty(n, np.int64), np.empty((n + 3, 4), np.int64)
    parsed = parse_rows(text, np.array([NAME, 0, TEXT]), np.empty((n, 1), np.float32), places, starts, slow)
    assert parsed.n_slow < 20


def test_small_and_large_tables_are_the_same_bytes(monkeypatch):
    names = ["plain.jpg", 'a "b".jpg', "c,d.jpg", "日本.jpg", "line\nbreak.jpg", "e\rf.jpg", " spaces .jpg", ""]
    vectors = rng.normal(size=(len(names), 3)).astype(np.float32)
    labels = np.array([0, 9, 10, 99, 100, 1234567890, 2**63 - 1, 1])
    small, labelled = bytes(format_table(names, vectors)), bytes(format_table(names, vectors, labels))
    monkeypatch.setattr(embedding_lines, "_WORTH_COMPILING", 0)
    assert bytes(format_table(names, vectors)) == small
    assert bytes(format_table(names, vectors, labels)) == labelled
    assert [line[-1] for line in csv.reader(io.StringIO(labelled.decode(), newline=""))] == list(map(str, labels))


@pytest.mark.parametrize("name", ["plain.jpg", 'a "b".jpg', "c,d.jpg", "line\nbreak.jpg", "e\rf.jpg", '"', '""', ","])
def test_names_are_quoted_as_csv_reads_them(name):
    assert next(csv.reader(io.StringIO(quote_field(name) + ",1\n", newline=""))) == [name, "1"]
