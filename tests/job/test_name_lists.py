"""The lists under filenames/: complete, disjoint, one name a line whatever the name."""

import numpy as np
import pytest

from selection_job.catalog.catalog import Catalog
from selection_job.results.tables.name_lists import escape_line, write_name_lists
from selection_job.selection.selection import Selection

FILES = ["corrupt_filenames.txt", "duplicate_filenames.txt", "removed_filenames.txt"]
SAMPLED = "sampled_filenames_excluding_datapool.txt"


@pytest.fixture
def lists(tmp_path):
    names = ["a.jpg", "b.jpg", "copy of a.jpg", "d\nd.jpg"]
    catalog = Catalog(
        names=names,
        sha256=np.zeros((4, 32), np.uint8),
        sizes_bytes=np.ones(4, np.int64),
        widths_px=np.ones(4, np.int32),
        heights_px=np.ones(4, np.int32),
        duplicate_of=np.array([0, 1, 0, 3]),
        corrupt={"z.jpg": "empty", "y.jpg": "truncated"},
    )
    selection = Selection(
        candidates=np.array([0, 1, 3]),
        selected=np.array([3, 0]),
        radii=np.zeros(2, np.float32),
        removed=np.array([1]),
        nearest_selected=np.array([0]),
        nearest_distance=np.zeros(1, np.float32),
        method="coreset",
        stopped_by="n_samples",
        distances=np.zeros(2),
        contributions=np.empty((2, 0)),
        filtered_by=np.array([-1]),
    )
    write_name_lists(tmp_path, catalog, selection)
    return {name: (tmp_path / name).read_text(encoding="utf-8").splitlines() for name in [*FILES, SAMPLED]}


def test_the_sampled_list_keeps_the_order_of_choice(lists):
    assert lists[SAMPLED] == ["d\\nd.jpg", "a.jpg"]


def test_each_image_stands_in_exactly_one_list(lists):
    assert [lists[name] for name in FILES] == [["y.jpg", "z.jpg"], ["copy of a.jpg"], ["b.jpg"]]


@pytest.mark.parametrize(
    ("name", "line"),
    [("日本.jpg", "日本.jpg"), ("a\r\nb", "a\\r\\nb"), ("tab\t", "tab\\t"), ("\udcff.jpg", "\\udcff.jpg")],
)
def test_a_name_stays_on_one_line_of_valid_text(name, line):
    assert escape_line(name).encode("utf-8").decode() == line
