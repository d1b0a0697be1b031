"""Groups of images in the report: exact copies, crowded regions that were thinned, outliers that stay."""

from collections import Counter

import jsonschema
import numpy as np
import pypdf
import pytest

from selection_job.report.measures.candidates import make_candidates
from selection_job.report.measures.image_groups import (
    MOST_GROUPS,
    MOST_IN_GROUP,
    MOST_OUTLIERS,
    find_outliers,
    find_thinned,
    group_duplicates,
)
from selection_job.report.report_json import read_schema
from selection_job.report.writing import write_report


def test_the_images_that_stand_for_most_are_those_nearest_to_most_removed_ones(make_report_input):
    given = make_report_input(60, 9)
    catalog, selection = given["catalog"], given["selection"]
    pool = make_candidates(given["embeddings"], selection, normalize=True, seed=0)
    removed, chosen = pool.vectors[pool.removed].astype(float), pool.vectors[pool.selected].astype(float)
    distances = np.linalg.norm(removed[:, None] - chosen[None], axis=2)
    owners = distances.argmin(axis=1)
    found = [one.to_json_values() for one in find_thinned(selection, catalog.names)]
    counts = Counter(catalog.names[selection.selected[owner]] for owner in owners)
    assert {one["selectedImage"]: one["nRemoved"] for one in found}.items() <= counts.items()
    assert [one["nRemoved"] for one in found] == sorted(counts.values(), reverse=True)[:MOST_GROUPS]
    for one in found:
        owner = selection.selected.tolist().index(catalog.names.index(one["selectedImage"]))
        own = [row for row in np.argsort(distances[:, owner]).tolist() if owners[row] == owner][:MOST_IN_GROUP]
        assert one["removedImages"] == [catalog.names[selection.removed[row]] for row in own]


@pytest.mark.parametrize(("n", "k"), [(60, 20), (60, 60), (2, 1), (1, 1)])
def test_outliers_are_the_selected_images_farthest_from_any_other(make_report_input, n, k):
    given = make_report_input(n, k)
    pool = make_candidates(given["embeddings"], given["selection"], normalize=True, seed=0)
    vectors = pool.vectors.astype(float)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    wanted = sorted(pool.selected.tolist(), key=lambda row: -nearest[row])[:MOST_OUTLIERS] if n > 1 else []
    found, n_searched = find_outliers(pool, given["catalog"].names)
    assert n_searched == (k if n > 1 else 0)
    assert [one.distance for one in found] == pytest.approx(nearest[wanted], rel=1e-5)
    assert {one.filename for one in found} == {given["catalog"].names[row] for row in wanted}


def test_images_kept_out_by_a_threshold_were_not_thinned(make_report_input):
    given = make_report_input(10, 4)
    object.__setattr__(given["selection"], "filtered_by", np.zeros(6, np.int64))
    assert find_thinned(given["selection"], given["catalog"].names) == []


def test_copies_are_grouped_by_the_image_that_they_equal(make_report_input):
    given = make_report_input(20, 4, duplicates=9)
    assert [one.to_json_values() for one in group_duplicates(given["catalog"])] == [
        {
            "filename": "walk/frame_000.jpg",
            "nCopies": 9,
            "copies": [f"walk/frame_{i:03}.jpg" for i in range(11, 11 + MOST_IN_GROUP)],
        }
    ]


HOSTILE = [f"{'very/long folder/' * 12}{i:02}<b>&amp;.jpg" for i in range(20)]


@pytest.mark.parametrize("names", [None, HOSTILE])
@pytest.mark.parametrize("is_gone", [False, True])
def test_the_pdf_shows_the_groups_whatever_the_names(make_report_input, tmp_path, names, is_gone):
    given = make_report_input(20, 4, duplicates=5, names=names)
    if is_gone:
        given["thumbnail"] = lambda name: None
    report = write_report(tmp_path, **given)
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(report)) == []
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    for heading in ("Where most was thinned out", "Outliers that stay", "Largest groups"):
        assert heading in text
    assert "equals 5 others" in text
