"""From read images to the catalog: duplicates, order, and its form on disk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selection_job.catalog.catalog_file import CATALOG_FILE, load_catalog, save_catalog
from selection_job.catalog.copies import find_first_equal
from selection_job.errors import UnusableData
from selection_job.reading.catalog_builder import CatalogBuilder
from selection_job.reading.images import ReadImage


def read(name, digest=0, reason=None):
    return ReadImage(name, bytes([digest]) * 32, 100 + digest, 10, 20, reason)


def build(*images):
    builder = CatalogBuilder()
    for image in images:
        builder.add(image)
    return builder.build()


def assert_equal(one, other):
    assert (one.names, one.corrupt) == (other.names, other.corrupt)
    for column in ("sha256", "sizes_bytes", "widths_px", "heights_px", "duplicate_of"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
        assert getattr(one, column).dtype == getattr(other, column).dtype


def test_the_catalog_keeps_order_and_finds_duplicates_of_the_first_name():
    catalog = build(read("a", 5), read("b", 3), read("bad", 5, "empty"), read("c", 5), read("d", 3), read("e", 5))
    assert catalog.names == ["a", "b", "c", "d", "e"]
    assert catalog.duplicate_of.tolist() == [0, 1, 0, 1, 0]
    assert catalog.corrupt == {"bad": "empty"}
    assert (catalog.n_input, catalog.sizes_bytes.tolist()) == (6, [105, 103, 105, 103, 105])


@given(st.lists(st.integers(0, 5), max_size=40), st.randoms(use_true_random=False))
def test_first_equal_agrees_with_a_dict(labels, random):
    pool = [random.randbytes(32) for _ in range(6)]
    digests = [pool[label] for label in labels]
    first = {}
    expected = [first.setdefault(digest, row) for row, digest in enumerate(digests)]
    found = find_first_equal(np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32))
    assert found.tolist() == expected


def test_first_equal_pairs_hundreds_of_thousands_of_rows():
    digests = np.random.default_rng(0).integers(0, 256, (200_000, 32), dtype=np.uint8)
    doubled = np.concatenate([digests, digests])
    np.testing.assert_array_equal(find_first_equal(doubled), np.tile(np.arange(200_000), 2))


@given(st.lists(st.text(st.characters()), unique=True), st.dictionaries(st.text(), st.text()))
def test_what_was_saved_is_loaded(tmp_path_factory, names, corrupt):
    """Names may hold newlines, NULs and lone surrogates."""
    folder = tmp_path_factory.mktemp("catalog")
    catalog = build(
        *(read(name, row % 7) for row, name in enumerate(names)),
        *(read(name, reason=reason) for name, reason in corrupt.items()),
    )
    save_catalog(catalog, folder)
    assert_equal(load_catalog(folder), catalog)


def test_equal_catalogs_give_equal_bytes(tmp_path):
    for folder in ("one", "two"):
        save_catalog(build(read("a"), read("b", reason="empty")), tmp_path / folder)
    assert (tmp_path / "one" / CATALOG_FILE).read_bytes() == (tmp_path / "two" / CATALOG_FILE).read_bytes()


def test_a_damaged_file_says_what_to_delete(tmp_path):
    save_catalog(build(read("a"), read("b")), tmp_path)
    path = tmp_path / CATALOG_FILE
    whole = path.read_bytes()
    for damaged in (b"", b"no zip", whole[:-30], whole.replace(b"duplicate_of", b"duplicate_xx")):
        path.write_bytes(damaged)
        with pytest.raises(UnusableData, match=r"is damaged .*\.stages/"):
            load_catalog(tmp_path)


def test_pickled_content_is_never_loaded(tmp_path):
    np.savez(tmp_path / CATALOG_FILE, names=np.array([object()], dtype=object), names_ends=np.array([1]))
    with pytest.raises(UnusableData, match="is damaged"):
        load_catalog(tmp_path)


def test_columns_that_do_not_fit_are_refused(tmp_path):
    catalog = build(read("a"), read("b"))
    save_catalog(catalog, tmp_path)
    with np.load(tmp_path / CATALOG_FILE) as columns:
        changed = dict(columns) | {"duplicate_of": np.array([0, 7])}
    np.savez(tmp_path / CATALOG_FILE, **changed)
    with pytest.raises(UnusableData, match="rows that do not exist"):
        load_catalog(tmp_path)
