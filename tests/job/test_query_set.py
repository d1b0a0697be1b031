"""Query sets of SIMILARITY: read from the lightly datasource, bounded and checked."""

import numpy as np
import pytest

from selection_job.embeddings import query_set
from selection_job.embeddings.query_set import load_query_set, query_key
from selection_job.errors import UnusableData
from selection_job.results.tables.tables import write_embeddings
from selection_job.stores.local.store import LocalStore

DATASET, TAG = "0123456789abcdef01234567", "night: rain"
NAMES = ["a.jpg", 'quote".jpg', "comma,.jpg"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.fixture
def load(tmp_path):
    """Return a function (CSV text or None) -> vectors, through a local store."""
    folder, scratch = tmp_path / "lightly", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()

    def run(text=None, dimensions=4):
        path = folder / query_key(DATASET, TAG)
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            write_embeddings(path, NAMES, VECTORS, np.arange(3))
        else:
            path.write_text(text)
        vectors = load_query_set(LocalStore(folder), DATASET, TAG, dimensions=dimensions, scratch=scratch)
        assert list(scratch.iterdir()) == []
        return vectors

    return run


def test_every_bit_of_a_table_that_a_run_wrote_comes_back(load):
    np.testing.assert_array_equal(load(), VECTORS)


def test_masked_rows_are_left_out(load):
    table = "filenames,embedding_0,masked,labels\na,1,0,0\nb,2,1,0\nc,3,0,0\n"
    assert load(table, dimensions=1).tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "dimensions", "message"),
    [
        (None, 5, "has 4 components, and the images of this run have 5"),
        ("filenames,embedding_0,labels\n", 1, "has no rows to compare with"),
        ("filenames,embedding_0,masked,labels\na,1,1,0\n", 1, "has no rows to compare with"),
        ("filenames,embedding_0,labels\na,nan,0\n", 1, "line 2: embedding_0 is 'nan'"),
        ("filenames,embedding_0,labels\na,1,0\nb,1\n", 1, "line 3: 2 fields, where the header has 3"),
        ("names\n", 1, "expected filenames,embedding_0"),
        ("", 1, "expected filenames,embedding_0"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_place(load, text, dimensions, message):
    with pytest.raises(UnusableData, match=message) as caught:
        load(text, dimensions)
    assert f"{DATASET}/{TAG}.csv" in str(caught.value)


def test_more_rows_than_can_be_compared_are_refused(load, monkeypatch):
    monkeypatch.setattr(query_set, "MOST_QUERIES", 2)
    with pytest.raises(UnusableData, match="more than 2 rows"):
        load()


def test_a_missing_query_set_says_where_it_belongs(tmp_path):
    with pytest.raises(UnusableData, match=rf"{query_key(DATASET, TAG)} does not exist. Put a table"):
        load_query_set(LocalStore(tmp_path), DATASET, TAG, dimensions=2, scratch=tmp_path)
