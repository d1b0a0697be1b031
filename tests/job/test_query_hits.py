"""What the report says of a query: the five best, and whether anything fits."""

import numpy as np
import pytest
from test_query_values import AMONG, FITS, FOLDER, TEXT, VECTORS, N, choose, sources, threshold
from test_selecting_strategies import make_catalog

from selection_job.report.measures.query_hits import describe_queries

CATALOG = make_catalog(list(range(N)))
SIMILARITY = {"type": "SIMILARITY"}


def describe(query, strategy, fits=FITS):
    folders = {"holes/": VECTORS[:2]}
    selection = choose(query, strategy, fits=fits, folders=folders)
    (told,) = describe_queries(selection, sources(fits, folders=folders), CATALOG)
    return told


def test_the_five_best_of_all_that_could_be_chosen_are_told_with_value_and_cosine():
    told = describe(TEXT, threshold(0.5))
    best = np.argsort(-FITS)[:5]
    assert [hit.filename for hit in told.hits] == [CATALOG.names[row] for row in best]
    assert [hit.value for hit in told.hits] == pytest.approx([1 - i / (N - 1) for i in range(5)])
    assert [hit.cosine for hit in told.hits] == pytest.approx(FITS[best])
    assert told.measure == "share that fits less well"


def test_a_share_always_has_its_remark():
    assert describe(TEXT, threshold(0.5)).remark.startswith("A share always keeps something")
    assert "cosine" not in describe(AMONG, threshold(0.5)).hits[0].to_json_values()


def test_nothing_fits_where_the_others_are_more_probable_everywhere():
    nothing = "Nothing fits: everything is more probably one of the other texts."
    assert describe(AMONG, SIMILARITY, FITS * 0.5 + 0.04).remark == nothing
    assert describe(AMONG, SIMILARITY).remark is None


def test_nothing_stands_out_where_no_value_lies_two_deviations_above_the_mean():
    flat = np.tile([0.1, 0.2], N // 2)
    assert describe(TEXT, SIMILARITY, flat).remark.startswith("Nothing stands out from the rest")
    one = flat.copy()
    one[7] = 0.9
    assert describe(TEXT, SIMILARITY, one).remark is None


@pytest.mark.parametrize("strategy", [SIMILARITY, threshold(0.1)])
def test_images_are_told_with_their_folder_and_no_verdict(strategy):
    told = describe(FOLDER, strategy)
    assert (told.folder, told.texts, told.remark) == ("holes/", [], None)
