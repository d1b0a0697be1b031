"""Column files: what is written is read back; anything else is refused before it takes memory."""

import io
import struct
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest

from selection_job.formats.column_file import (
    ColumnType,
    DamagedFile,
    open_column_file,
    pack_texts,
    write_column_file,
)

NUMBERS, PAIRS = ColumnType(np.float32), ColumnType(np.int64, (2,))
TEXTS = ["", "a", "日本\n", "nul\0", "caf\udce9", "a"]


def dump(**columns):
    buffer = io.BytesIO()
    write_column_file(buffer, columns)
    return buffer.getvalue()


def archive(compression=zipfile.ZIP_STORED, **members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def header(text, version=b"\x01\x00"):
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text.encode()


def claim(dtype="<f4", shape="(3,)", content=b"\0" * 12):
    return header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n") + content


def take(content, column=NUMBERS, n=None, name="x", **rest):
    with open_column_file(content) as file:
        return file.take(name, column, n, **rest)


def test_columns_and_texts_are_read_back(tmp_path):
    numbers, pairs = np.array([1.5, np.nan], np.float32), np.arange(6).reshape(3, 2)
    columns = {"numbers": numbers, "pairs": pairs, "title": np.array("ein Bus"), **pack_texts("names", TEXTS)}
    write_column_file(tmp_path / "a.npz", columns)
    with open_column_file(tmp_path / "a.npz") as file:
        assert list(file.names) == ["numbers", "pairs", "title", "names", "names_ends"]
        np.testing.assert_array_equal(file.take("numbers", NUMBERS, 2), numbers)
        np.testing.assert_array_equal(file.take("pairs", PAIRS), pairs)
        assert file.take("pairs", PAIRS, 3).flags.writeable
        assert file.take_text("title") == "ein Bus"
        assert file.take_texts("names") == TEXTS


def test_no_texts_are_read_back():
    with open_column_file(dump(**pack_texts("names", []))) as file:
        assert file.take_texts("names") == []


def test_bytes_are_those_of_numpy():
    peer = io.BytesIO()
    np.savez(peer, x=np.arange(9), names=np.array(["a", "bc"]))
    assert dump(x=np.arange(9), names=np.array(["a", "bc"])) == peer.getvalue()


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(3), np.zeros(3, np.float16), np.zeros(3, ">f4"), np.zeros((3, 1), np.float32), np.float32(0),
        np.zeros(2, np.float32), np.array(["a"] * 3), np.array([{}] * 3), np.zeros(3, [("a", np.float32)]),
        np.zeros(3, np.int32),
    ],
    ids=str,
)  # fmt: skip
def test_a_column_of_another_type_or_shape_is_refused_in_the_users_words(column):
    with pytest.raises(ValueError, match=r"^x does not fit 3 names$"):
        take(dump(x=column), n=3, otherwise="x does not fit 3 names")


def test_a_row_of_any_length_still_has_its_dimensions():
    any_length = ColumnType(np.float32, (None,))
    assert take(dump(x=np.zeros((3, 5), np.float32)), any_length, 3).shape == (3, 5)
    with pytest.raises(ValueError, match="another form"):
        take(dump(x=np.zeros((3, 5, 1), np.float32)), any_length, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_must_be_finite_are(value):
    content = dump(x=np.array([0, value], np.float32))
    assert len(take(content)) == 2
    with pytest.raises(ValueError, match="another form"):
        take(content, ColumnType(np.float32, is_finite=True))


def test_a_missing_column_is_damage():
    with pytest.raises(DamagedFile, match="y"):
        take(dump(x=np.zeros(3)), name="y")


def test_what_the_block_trips_over_is_damage_and_what_it_says_is_not():
    with pytest.raises(DamagedFile, match="'format'"), open_column_file(dump(x=np.zeros(1))):
        {}["format"]
    with pytest.raises(ValueError, match=r"^of another version$") as raised, open_column_file(dump(x=np.zeros(1))):
        raise ValueError("of another version")
    assert not isinstance(raised.value, DamagedFile)


WHOLE = dump(x=np.arange(3, dtype=np.float32))
GIANT = "(1000000000000000,)"
HOSTILE = {
    "nothing": b"",
    "no archive": b"x" * 999,
    "cut off": WHOLE[:-30],
    "half": WHOLE[: len(WHOLE) // 2],
    "another byte": WHOLE.replace(b"\x00\x00\x80?", b"abcd"),
    "compressed": archive(zipfile.ZIP_DEFLATED, x=claim(shape="(3000000,)", content=bytes(12_000_000))),
    "compressed and small": archive(zipfile.ZIP_LZMA, x=claim()),
    "no array": archive(x=b"text"),
    "an empty array": archive(x=b""),
    "another version": archive(x=b"\x93NUMPY\x02\x00" + claim()[8:]),
    "longer than it is": archive(x=claim(shape=GIANT)),
    "shorter than it is": archive(x=claim(shape="(2,)")),
    "a negative length": archive(x=claim(shape="(-3,)")),
    "a length that is no number": archive(x=claim(shape="('a',)")),
    "no shape": archive(x=claim(shape="3")),
    "an unknown type": archive(x=claim(dtype="?!")),
    "a long header": archive(x=claim(dtype="<f4" + " " * 60_000)),
    "a deep header": archive(x=header("(" * 900)),
    "half a string": archive(x=header("{'descr': '''")),
    "code": archive(x=header("__import__('os').abort()")),
}


def test_a_column_that_is_not_there_is_the_default_and_one_of_another_form_is_refused():
    with open_column_file(dump(x=np.arange(3.0, dtype=np.float32))) as file:
        assert file.take_or(None, "y", NUMBERS, 3) is None
        assert file.take_or(None, "x", NUMBERS, 3).tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="x does not fit"):
            file.take_or(None, "x", NUMBERS, 4, otherwise="x does not fit")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_file_is_refused_and_takes_no_memory(hostile):
    tracemalloc.start()
    with pytest.raises(ValueError):
        take(HOSTILE[hostile])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


def test_nothing_is_unpickled(monkeypatch):
    monkeypatch.setattr("pickle.load", lambda *_, **__: pytest.fail("unpickled"))
    for column in (NUMBERS, ColumnType(np.object_)):
        with pytest.raises(ValueError):
            take(dump(x=np.array([{}] * 3)), column)


@pytest.mark.parametrize(
    ("content", "ends"),
    [
        (np.zeros(3, np.uint8), np.array([1, 2])),
        (np.zeros(3, np.uint8), np.array([4, 3])),
        (np.zeros(3, np.uint8), np.array([-1, 3])),
        (np.zeros(3, np.uint8), np.array([1.0, 3.0])),
        (np.zeros(3, np.uint8), np.array([[1, 3]])),
        (np.zeros(3, np.int8), np.array([1, 3])),
        (np.full(3, 255, np.uint8), np.array([1, 3])),
        (np.zeros(3, np.uint8), np.empty(0, np.int64)),
    ],
    ids=str,
)
def test_texts_that_do_not_add_up_are_refused(content, ends):
    with pytest.raises(ValueError), open_column_file(dump(names=content, names_ends=ends)) as file:
        file.take_texts("names")


def test_any_byte_changed_gives_the_same_columns_or_a_value_error():
    columns = {"x": np.arange(3, dtype=np.float32), **pack_texts("names", TEXTS)}
    content = dump(**columns)
    draw = partial(np.random.default_rng(5).integers, 0)
    for _ in range(1500):
        changed = bytearray(content)
        for _ in range(1 + draw(3)):
            changed[draw(len(changed))] = draw(256)
        try:
            with open_column_file(bytes(changed)) as file:
                found, names = file.take("x", NUMBERS, 3), file.take_texts("names")
        except ValueError:
            continue
        assert (found.tolist(), names) == ([0, 1, 2], TEXTS)
