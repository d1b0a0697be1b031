"""The CSV tables, read back by lightly's own reader."""

import csv

import numpy as np
from lightly.utils.io import check_embeddings, load_embeddings

from selection_job.catalog.catalog import Catalog
from selection_job.results.tables.tables import write_clean, write_embeddings

NAMES = [
    "plain.jpg", 'quote".jpg', "comma,.jpg", "日本.jpg", "line\nbreak.jpg", "space in name.jpg",
    "carriage\rreturn.jpg", "both\r\n.jpg", "at the end.jpg\r",
]  # fmt: skip
EMBEDDINGS = np.random.default_rng(0).normal(size=(len(NAMES), 5)).astype(np.float32)


def test_lightly_reads_back_every_bit_of_every_row(tmp_path):
    path = tmp_path / "embeddings.csv"
    write_embeddings(path, NAMES, EMBEDDINGS, np.arange(len(NAMES)))
    check_embeddings(str(path))
    vectors, labels, names = load_embeddings(str(path))
    assert names == NAMES
    assert labels == [0] * len(NAMES)
    np.testing.assert_array_equal(vectors.astype(np.float32), EMBEDDINGS)


def test_lines_end_in_a_newline(tmp_path):
    write_embeddings(tmp_path / "embeddings.csv", ["a.jpg"], EMBEDDINGS[:1, :1], np.arange(1))
    header, row, rest = (tmp_path / "embeddings.csv").read_bytes().split(b"\n")
    assert (header, row.partition(b",")[0], rest) == (b"filenames,embedding_0,labels", b"a.jpg", b"")


def test_rows_come_in_the_order_they_are_asked_for(tmp_path):
    path = tmp_path / "embeddings.csv"
    write_embeddings(path, NAMES, EMBEDDINGS, np.array([4, 1]))
    assert load_embeddings(str(path))[2] == [NAMES[4], NAMES[1]]


def test_normalised_rows_have_unit_length_and_zeros_stay(tmp_path):
    path = tmp_path / "embeddings.csv"
    vectors = np.vstack([EMBEDDINGS, np.zeros((1, 5), np.float32)])
    write_embeddings(path, [*NAMES, "black.jpg"], vectors, np.arange(len(NAMES) + 1), normalize=True)
    lengths = np.linalg.norm(load_embeddings(str(path))[0], axis=1)
    np.testing.assert_allclose(lengths, [1.0] * len(NAMES) + [0], atol=1e-6)


def test_the_clean_dataset_lists_digest_bytes_and_size_of_each_image(tmp_path):
    catalog = Catalog(
        names=NAMES[:2],
        sha256=np.arange(64, dtype=np.uint8).reshape(2, 32),
        sizes_bytes=np.array([10, 20]),
        widths_px=np.array([3, 4], dtype=np.int32),
        heights_px=np.array([5, 6], dtype=np.int32),
        duplicate_of=np.array([0, 1]),
        corrupt={"bad.jpg": "empty"},
    )
    write_clean(tmp_path / "clean.csv", catalog)
    rows = list(csv.reader((tmp_path / "clean.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["filename", "sha256", "bytes", "width_px", "height_px"]
    assert rows[2] == [NAMES[1], bytes(range(32, 64)).hex(), "20", "4", "6"]
    assert len(rows) == 3
