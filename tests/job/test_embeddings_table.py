"""Reading a table of embeddings: what is taken, and what is refused with its line."""

import csv
import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_job.catalog.catalog import hash_names
from selection_job.embeddings import table_rows
from selection_job.embeddings.table_reading import read_table
from selection_job.errors import UnusableData

HEADER = "filenames,embedding_0,embedding_1,labels\n"
ROWS = HEADER + "a.jpg,1,2,0\nb.jpg,3,4,0\n"


@pytest.fixture
def read(tmp_path):
    """Read a table of this text or bytes for the names a.jpg, b.jpg and c.jpg, or others."""

    def read_text(text, names=("a.jpg", "b.jpg", "c.jpg")):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(path, list(names), where="table.csv")

    return read_text


def test_vectors_come_in_the_order_of_the_names(read):
    found = read(HEADER + "c.jpg,5,6,0\nz.jpg,7,8,0\na.jpg,1,2,0\n")
    assert found.rows.tolist() == [0, 2]
    assert found.vectors.tolist() == [[1, 2], [5, 6]]
    assert found.absent.tolist() == [1]
    assert (found.n_foreign, found.foreign) == (1, ["z.jpg"])


@pytest.mark.parametrize(
    "text",
    [
        ROWS.replace("\n", "\r\n"),
        ROWS.removesuffix("\n"),
        "\ufeff" + ROWS,
        ROWS.replace("b.jpg", "\n\nb.jpg"),
        ROWS + "\n\r\n\n",
        "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in ROWS.splitlines()),
        "filenames,embedding_1,embedding_0,labels\na.jpg,2,1,0\nb.jpg,4,3,\n",
        "filenames,masked,embedding_0,embedding_1,selected,labels,note\na.jpg,0,1,2,0,x,\nb.jpg,0,3,4,0,,\n",
        HEADER + "a.jpg,+1,2.0e0,0\nb.jpg, 3 ,0000000000000000000000000000004,0\n",
    ],
    ids=["crlf", "no-last-newline", "bom", "blank-lines", "blank-end", "all-quoted", "order", "marks", "notations"],
)
def test_the_same_table_in_other_clothes(read, text):
    found = read(text)
    assert found.rows.tolist() == [0, 1]
    assert found.vectors.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty; expected filenames,embedding_0,embedding_1,…,labels in its first line, and below it"),
        ("\n" + ROWS, "line 1: expected filenames,embedding_0,embedding_1,…,labels; found an empty line"),
        ("filename,embedding_0,labels\n", "line 1: expected filenames.* found 'filename', 'embedding_0', 'labels'"),
        ("filenames,embedding_0\n", "line 1: expected .* found 'filenames', 'embedding_0'"),
        ("filenames,labels\n", "with 1 to 4096 components; found 0"),
        ("filenames,embedding_0,embedding_2,labels\n", "2 components are there, and embedding_1 is missing"),
        ("filenames,embedding_0,embedding_0,labels\n", "two columns 'embedding_0'"),
        ("filenames,embedding_0,weather,labels\n", "found 'weather' among them. Other columns go behind labels"),
        ("filenames, embedding_0,labels\n", "found ' embedding_0' among them"),
        ("filenames,embedding_0,labels,embedding_1\n", "found 'embedding_1' behind labels"),
        (HEADER, "has a header and no rows"),
        (ROWS + "c.jpg,1,0\n", "line 4: 3 fields, where the header has 4"),
        (ROWS + "c, d.jpg,1,2,0\n", "line 4: 5 fields, where the header has 4; a name that holds a comma"),
        (ROWS + '"c"d.jpg,1,2,0\n', "line 4: something stands between a closing quote and the next comma"),
        (ROWS + '"c.jpg,1,2,0\n', "line 4: this row does not end"),
        (HEADER + 'x,1,2,0\n\n"y\nz",1,2,0\na.jpg,one,2,0\n', "line 6: embedding_0 is 'one'; expected a number"),
        (ROWS + "c.jpg,1,,0\n", "line 4: embedding_1 is empty"),
        (ROWS + "c.jpg,nan,1,0\n", "line 4: embedding_0 is 'nan'"),
        (ROWS + "c.jpg,1,-inf,0\n", "line 4: embedding_1 is '-inf'"),
        (ROWS + "c.jpg,1,1e39,0\n", "line 4: embedding_1 is '1e39'; expected a number below 3.4e38"),
        (ROWS + "c.jpg,1,1e,0\n", "line 4: embedding_1 is '1e'"),
        (ROWS + "c.jpg,1,1_0,0\n", "line 4: embedding_1 is '1_0'"),
        (ROWS + f"c.jpg,1,{'1' * 5000},0\n", "line 4: embedding_1 is '1{40}'"),
        (ROWS + "c.jpg,1,0x10,0\n", "line 4: embedding_1 is '0x10'"),
        (ROWS + "a.jpg,1,2,0\n", "line 4: 'a.jpg' has a row above already"),
        (HEADER.replace("labels", "masked,labels") + "a.jpg,1,2,2,0\n", "line 2: masked is 2; expected 0 or 1"),
        (HEADER.replace("labels", "selected,labels") + "a.jpg,1,2,3,0\n", "line 2: selected is 3; expected 0 or 1"),
        (ROWS.encode() + b"\xff.jpg,1,2,0\n", r"line 4: the name b'\\xff.jpg' is not UTF-8"),
        (ROWS.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8"),
        (",".join(["filenames", *(f"embedding_{i}" for i in range(4097)), "labels"]), "components; found 4097"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_refused_with_its_line(read, text, sentence):
    with pytest.raises(UnusableData, match=rf"^table\.csv.*{sentence}"):
        read(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (HEADER.replace(",labels", ""), "found .*'embedding_1'. The column labels is missing: add one, 0 in each row"),
        ("," + HEADER, "an index that pandas wrote: save the table with index=False"),
        ("Unnamed: 0," + HEADER, "an index that pandas wrote: save the table with index=False"),
        ("note," + HEADER, "filenames is the first column; others that a run is not to use go behind labels"),
        (HEADER.replace("filenames", "filename"), "The first column is called filenames, not 'filename'"),
        ("filename,embedding_0\n", "called filenames, not 'filename'. The column labels is missing"),
        (HEADER.replace(",", ";"), "separated by semicolons: save the table with commas"),
        (HEADER.replace(",", "\t"), "separated by tabs: save the table with commas"),
        (HEADER.replace(",", ", "), "Delete the blanks around the names"),
        ("# made by a script\n" + HEADER, "Delete what stands before the header"),
        (HEADER.replace("embedding_1", "embedding_2"), "count from embedding_0 without a gap"),
        (HEADER.encode("utf-16"), "is UTF-16; save it as UTF-8"),
        (HEADER, "no rows; write a row for each image"),
        (ROWS + 'c.jpg,"0,5",1,0\n', "'0,5'; expected a number .*, with a point, not a comma"),
        (ROWS + "c.jpg,\N{MINUS SIGN}1.5,1,0\n", "with '-' as it stands on the keyboard"),
        (ROWS + "c.jpg,NaN,1,0\n", "Leave out the row of an image that has no vector, or add a column masked"),
        (ROWS + "c.jpg,,1,0\n", "Leave out the row of an image that has no vector, or add a column masked"),
        (ROWS + "c.jpg\n", "1 field, where the header has 4; write each row in full"),
        (ROWS + "a.jpg,1,2,0\n", "a name has one row: delete the others"),
    ],
)  # fmt: skip
def test_what_people_write_in_place_of_such_a_table_is_told_with_what_to_do(read, text, advice):
    with pytest.raises(UnusableData, match=rf"^table\.csv.*{advice}"):
        read(text)


def test_rows_of_names_that_are_known_but_not_asked_for_are_counted_apart(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(ROWS + "c.jpg,1,2,0\nd.jpg,1,2,0\n")
    found = read_table(path, ["a.jpg"], where="table.csv", left_out=hash_names(["b.jpg", "c.jpg", "never.jpg"]))
    assert (found.n_left_out, found.n_foreign, found.foreign) == (2, 1, ["d.jpg"])


def test_a_masked_row_need_not_have_a_vector(read):
    found = read(HEADER.replace("labels", "masked,labels") + "a.jpg,nan,,1,0\nb.jpg,3,4,0,0\n")
    assert (found.rows.tolist(), found.masked.tolist()) == ([1], [0])


def test_rows_selected_before_come_last_and_masked_ones_are_none_of_them(read):
    header = HEADER.replace("labels", "masked,selected,labels,al_score")
    found = read(header + "b.jpg,3,4,0,0,0,0.5\na.jpg,1,2,0,1,0,0.25\n")
    assert (found.rows.tolist(), found.n_preselected) == ([1, 0], 1)
    assert (found.vectors.tolist(), found.scores.tolist()) == ([[3, 4], [1, 2]], [0.5, 0.25])
    both = read(header + "b.jpg,3,4,0,0,0,0\na.jpg,nan,,1,1,0,\n")
    assert (both.rows.tolist(), both.masked.tolist(), both.n_preselected) == ([1], [0], 0)


def test_a_repeated_name_is_found_across_blocks(read, monkeypatch):
    monkeypatch.setattr(table_rows, "_MOST_ROWS", 2)
    with pytest.raises(UnusableData, match=r"line 5: 'a\.jpg' has a row above already"):
        read(HEADER + "a.jpg,1,2,0\nx,1,2,0\ny,1,2,0\na.jpg,1,2,0\n")


def test_a_row_without_an_end_is_refused_before_all_of_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "BLOCK_BYTES", 1000)
    path = tmp_path / "table.csv"
    path.write_bytes(HEADER.encode() + b'a.jpg,1,2,0\n"' + b"x" * 1_000_000)
    read = []
    with pytest.raises(UnusableData, match="line 3: this row does not end"):
        read_table(path, ["a.jpg"], where="table.csv", advance=read.append)
    assert sum(read) < 5000


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(table_rows, "BLOCK_BYTES", 64 * 1024)
    monkeypatch.setattr(table_rows, "_MOST_ROWS", 500)
    path, peaks = tmp_path / "table.csv", {}
    for n in (1, 3000, 60_000):  # the first compiles
        path.write_text(HEADER + "a.jpg,1,2,0\n" + "".join(f"other_{i}.jpg,1,2,0\n" for i in range(n)))
        tracemalloc.start()
        read_table(path, ["a.jpg"], where="table.csv")
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[60_000] < peaks[3000] + 100_000, "of a file larger by 1.2 MB"


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(names, st.tuples(numbers, numbers), min_size=1, max_size=8),
    st.integers(200, 400),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows, block, quoting, newline):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=quoting, lineterminator=newline)
    writer.writerow(["filenames", "embedding_0", "embedding_1", "labels"])
    writer.writerows([name, *map(repr, vector), 0] for name, vector in rows.items())
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_rows, "BLOCK_BYTES", block)
        found = read_table(path, list(rows), where="table.csv")
    expected = np.array(list(rows.values()), dtype=np.float32)
    np.testing.assert_array_equal(found.vectors.view(np.uint32), expected.view(np.uint32))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text('a,"\n\r10.-e ', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("table") / "table.csv"
    path.write_bytes(HEADER.encode() + content)
    try:
        found = read_table(path, ["a", "b"], where="table.csv")
    except UnusableData:
        return
    assert np.isfinite(found.vectors).all()
