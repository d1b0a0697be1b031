"""What the report says about the selection: each strategy's effect, and how many images a radius needs."""

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from selection_job.manifest.noun import IMAGE
from selection_job.numeric.farthest_first import farthest_first
from selection_job.report.blocks.blocks import Paragraph
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.measures.coverage import count_for_radius, describe_coverage, describe_curve, round_up
from selection_job.report.measures.strategy_effects import describe_strategies
from selection_job.report.report_json import read_schema, report_json_bytes
from selection_job.report.sections.cover import make_cover
from selection_job.report.sections.selection import make_selection_section
from selection_job.report.writing import write_report
from selection_job.selection.selection import Selection, StrategyRecord

VALIDATOR = jsonschema.Draft202012Validator(read_schema())
NEAREST = {"input": 0.1, "selected": 0.3, "random": None}


def make_selection(n=30, k=6, **fields):
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(n, 3)).astype(np.float32)
    chosen, radii = farthest_first(vectors, k)
    removed = np.setdiff1d(np.arange(n), chosen)
    given = {
        "candidates": np.arange(n), "selected": chosen, "radii": radii, "removed": removed,
        "nearest_selected": np.full(n - k, chosen[0]), "nearest_distance": np.ones(n - k, np.float32),
        "method": "coreset", "stopped_by": "n_samples", "distances": np.ones(k), "contributions": np.empty((k, 0)),
        "filtered_by": np.full(n - k, -1), **fields,
    }  # fmt: skip
    return vectors, Selection(**given)


def describe(*records, thresholds=()):
    vectors, selection = make_selection(rankings=records, thresholds=thresholds)
    pool = make_candidates(vectors, selection, normalize=False, seed=4)
    effects = describe_strategies(selection, pool, NEAREST, IMAGE)
    return [effect.to_json_values() for effect in effects], pool, vectors


def test_weights_are_told_by_their_mean_over_what_was_measured():
    values = np.random.default_rng(0).random(30)
    values[3] = np.nan
    (entry,), pool, _ = describe(StrategyRecord("w", "WEIGHTS", 2.0, values=values))
    assert (entry["name"], entry["type"], entry["strength"], entry["measure"]) == ("w", "WEIGHTS", 2.0, "mean value")
    for name, rows in (("input", np.arange(30)), ("selected", pool.selected), ("random", pool.random)):
        assert entry[name] == pytest.approx(np.nanmean(values[rows]))


def test_a_threshold_is_told_by_the_share_that_passes():
    values = np.arange(30.0)
    limit = StrategyRecord("t", "THRESHOLD", None, values=values, passes=values >= 21)
    (entry,), pool, _ = describe(thresholds=(limit,))
    assert (entry["measure"], entry["nPassing"], entry["input"]) == ("share that passes", 9, pytest.approx(0.3))
    assert entry["random"] == pytest.approx((pool.random >= 21).mean())


def test_a_balance_is_told_by_its_overlap_and_the_share_of_each_class():
    shares = np.random.default_rng(1).random((30, 2))
    target = np.array([0.9, 0.1])
    (entry,), pool, _ = describe(
        StrategyRecord("b", "BALANCE", 1.0, shares=shares, classes=("sun", "日本"), target=target)
    )
    own = shares[pool.selected].sum(axis=0) / shares[pool.selected].sum()
    assert entry["selected"] == pytest.approx(np.sqrt(own * target).sum())
    assert [one["name"] for one in entry["classes"]] == ["sun", "日本"]
    assert [one["selected"] for one in entry["classes"]] == pytest.approx(own.tolist())
    assert [one["target"] for one in entry["classes"]] == [0.9, 0.1]


def test_diversity_is_told_by_the_distance_to_the_nearest_other():
    (entry,), _, _ = describe(StrategyRecord("d", "DIVERSITY", 1.0))
    assert (entry["input"], entry["selected"], entry["random"]) == (0.1, 0.3, None)


def test_the_diversity_of_objects_is_measured_on_the_objects():
    rng = np.random.default_rng(3)
    owners = np.sort(rng.integers(0, 30, 50))
    vectors = rng.normal(size=(50, 2)).astype(np.float32)
    record = StrategyRecord("o", "DIVERSITY", 1.0, object_vectors=vectors, object_owners=owners)
    (entry,), pool, _ = describe(record)
    for name, rows in (("input", np.arange(30)), ("selected", pool.selected), ("random", pool.random)):
        own = vectors[np.isin(owners, rows)].astype(float)
        distances = np.linalg.norm(own[:, None] - own[None], axis=2)
        np.fill_diagonal(distances, np.inf)
        assert entry[name] == pytest.approx(distances.min(axis=1).mean(), rel=1e-6)


@given(st.lists(st.floats(0, 100, width=32), min_size=1, max_size=50))
def test_every_line_says_the_fewest_images_that_reach_its_radius(values):
    radii = np.array(sorted(values, reverse=True), dtype=np.float32)
    table = describe_coverage(make_selection(radii=radii)[1]).images_for_radius
    assert 1 <= len(table) <= 10
    for line in table:
        reached = [i + 1 for i, radius in enumerate(radii.tolist()) if radius <= line.radius]
        assert line.n_images == reached[0]


@given(st.floats(1e-30, 1e30))
def test_rounding_up_never_goes_down_and_keeps_two_digits(radius):
    rounded = round_up(radius)
    assert radius <= rounded <= radius * 1.11
    assert float(f"{rounded:.1e}") == pytest.approx(rounded)


def test_the_table_equals_the_covering_radii_of_a_brute_force():
    vectors, selection = make_selection(200, 40)
    distances = np.linalg.norm(vectors[:, None].astype(float) - vectors[selection.selected][None], axis=2)
    covering = np.minimum.accumulate(distances, axis=1).max(axis=0)
    for line in describe_coverage(selection).images_for_radius:
        assert covering[line.n_images - 1] <= line.radius * (1 + 1e-6)
        assert line.n_images == 1 or covering[line.n_images - 2] > line.radius * (1 - 1e-6)
    assert count_for_radius(covering, covering[7]) == 8


@pytest.mark.parametrize("method", ["random", "strategies"])
def test_where_the_curve_is_not_known_the_report_says_why(method):
    _, selection = make_selection(method=method, radii=np.full(6, np.nan, np.float32))
    coverage = describe_coverage(selection)
    assert (coverage.is_exact, coverage.images_for_radius) == (False, [])
    assert "only the" in coverage.why_unknown
    assert describe_curve(selection).radii == [None] * 6


def test_the_curve_of_many_picks_holds_a_thousand_with_the_first_and_the_last():
    radii = np.linspace(9, 1, 5000, dtype=np.float32)
    curve = describe_curve(make_selection(radii=radii)[1])
    assert len(curve.picks) <= 1000
    assert (curve.picks[0], curve.picks[-1], curve.radii[-1]) == (1, 5000, 1.0)


@pytest.fixture
def with_strategies(make_report_input):
    """A factory of write_report's keywords, over a selection by three strategies behind a threshold."""

    def make(n, k, **fields):
        given = make_report_input(n, k)
        values, labels = np.linspace(0, 1, n), np.eye(2)[np.arange(n) % 2]
        passes = values >= 0.2
        selection = given["selection"]
        limit = StrategyRecord("THRESHOLD on METADATA <b>&", "THRESHOLD", None, values=values, passes=passes)
        rankings = (
            StrategyRecord("DIVERSITY on EMBEDDINGS", "DIVERSITY", 1.0),
            StrategyRecord("WEIGHTS on SCORES t uncertainty_entropy", "WEIGHTS", -0.5, values=values),
            StrategyRecord(
                "BALANCE on METADATA weather", "BALANCE", 1.0, shares=labels, classes=("sun", "<rain>"),
                target=np.array([0.3, 0.7]),
            ),
        )  # fmt: skip
        changed = {
            "method": "strategies", "radii": np.full(k, np.nan, np.float32), "contributions": np.zeros((k, 3)),
            "filtered_by": np.where(passes[selection.removed], -1, 0), "rankings": rankings, "thresholds": (limit,),
        }  # fmt: skip
        given["selection"] = replace(selection, **{**changed, **fields})
        return given

    return make


@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 2)])
def test_the_report_of_strategies_fits_the_schema_and_the_pdf_names_them(tmp_path, with_strategies, n, k):
    report = write_report(tmp_path, **with_strategies(n, k))
    assert list(VALIDATOR.iter_errors(json.loads(report_json_bytes({**report})))) == []
    pages = PdfReader(tmp_path / "report.pdf").pages
    text = "".join(page.extract_text() for page in pages).replace("\n", "")
    for entry in report["selectionInformation"]["strategies"]:
        assert entry["name"].replace(" ", "") in text.replace(" ", "")
    assert "<rain>" in text
    assert "only the radius at the end is known" in text


def test_the_pdf_tells_how_many_images_a_radius_needs(tmp_path, make_report_input):
    report = write_report(tmp_path, **make_report_input(3, 3))
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    lines = report["selectionInformation"]["coverage"]["imagesForRadius"]
    assert lines[-1] == {"radius": 0.0, "nImages": 3}
    assert "images needed" in text
    for line in lines:
        assert f"{line['radius']:g}" in text


def test_filtered_images_have_a_part_of_their_own_on_the_cover(tmp_path, with_strategies):
    report = write_report(tmp_path, **with_strategies(3, 1, filtered_by=np.array([0, 0])))
    assert report["selectionInformation"]["nFiltered"] == 2
    text = PdfReader(tmp_path / "report.pdf").pages[0].extract_text().replace("\n", " ")
    assert "filtered out by a THRESHOLD" in text
    assert "do not pass a THRESHOLD" in text


def test_a_balance_beside_a_datapool_says_whose_shares_it_shows(tmp_path, with_strategies):
    report = write_report(tmp_path, **with_strategies(3, 2))
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]

    def tell(n_pool):
        sizes["nPreselectedDatapool"] = n_pool
        parts = make_selection_section(report, tmp_path / "plots")
        return " ".join(part.text for part in parts if isinstance(part, Paragraph))

    assert "earlier runs" not in tell(0)
    assert "What earlier runs selected counts towards each target of a BALANCE, but not in the shares" in tell(5)
    report["selectionInformation"]["strategies"].pop()
    assert "earlier runs" not in tell(5)


def test_the_cover_promises_no_likeness_but_states_the_radius(tmp_path, make_report_input):
    report = write_report(tmp_path, **make_report_input(3, 2))
    text = " ".join(PdfReader(tmp_path / "report.pdf").pages[0].extract_text().split())
    radius = f"{report['selectionInformation']['coverRadius']:.3g}"
    assert f"The other image lies within {radius} of a selected one." in text
    assert f"removed: within {radius} of a selected one" in text


@pytest.mark.parametrize(
    ("n_filtered", "kinds", "words"),
    [
        (1, [], "The other image does not pass a THRESHOLD."),
        (0, ["WEIGHTS", "THRESHOLD"], "The other image is worth less to the strategy."),
        (0, ["WEIGHTS", "DIVERSITY"], "The other image is worth less to the strategies together."),
    ],
)
def test_the_cover_tells_of_one_image_and_one_strategy_in_the_singular(
    tmp_path, make_report_input, n_filtered, kinds, words
):
    report = write_report(tmp_path, **make_report_input(3, 2))
    strategies = [{"type": kind} for kind in kinds]
    method = "strategies" if kinds else "coreset"
    report["selectionInformation"] |= {"nFiltered": n_filtered, "method": method, "strategies": strategies}
    assert words in tell_cover(report)


@pytest.mark.parametrize("n_filtered", [0, 1])
def test_a_tile_says_how_near_the_removed_lie_only_where_something_was_removed(tmp_path, make_report_input, n_filtered):
    report = write_report(tmp_path, **make_report_input(3, 2))
    report["selectionInformation"]["nFiltered"] = n_filtered
    tiles = repr(make_cover(report, lambda name: None))
    assert "'removed" in tiles
    assert ("removed: within" in tiles) == (n_filtered == 0)


def test_savings_of_less_than_a_dollar_are_not_rounded_to_nothing(tmp_path, make_report_input):
    report = write_report(tmp_path, **make_report_input(3, 2))
    report["annotationSavings"]["imageClassification"]["costSavings"] = 0.012
    report["annotationSavings"]["objectDetection"]["costSavings"] = 0.36
    report["annotationSavings"]["semanticSegmentation"]["costSavings"] = 84.4
    assert "US$ 0.01 for classes, US$ 0.36 for boxes, US$ 84 for segments." in tell_cover(report)


def tell_cover(report):
    parts = make_cover(report, lambda name: None)
    return " ".join(part.text for part in parts if isinstance(part, Paragraph))
