"""report.json: valid against its schema, and every number recomputed from the embeddings."""

import json

import jsonschema
import numpy as np
import pytest

from selection_job.report.measures import maps as maps_module
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.report_json import MOST_LISTED, read_schema, report_json_bytes

VALIDATOR = jsonschema.Draft202012Validator(read_schema())


def unit(vectors):
    exact = vectors.astype(np.float64)
    return exact / np.linalg.norm(exact, axis=1, keepdims=True)


def all_distances(vectors):
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=2)


def information(report):
    return report["datasetAnalysis"]["embeddingInformation"]


def rows_of(given, names):
    return [given["catalog"].names.index(name) for name in names]


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(read_schema())


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (2, 2), (3, 1), (3, 3)])
def test_tiny_datasets_give_a_valid_report(make_report, n, k):
    report = json.loads(report_json_bytes(make_report(n, k)))
    assert list(VALIDATOR.iter_errors(report)) == []


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(4, 2), (5, 5), (40, 10)])
def test_larger_datasets_give_a_valid_report(make_report, n, k):
    corrupt = {"b.jpg": "truncated: 3 bytes missing", "a.jpg": "empty"}
    report = json.loads(report_json_bytes(make_report(n, k, corrupt=corrupt)))
    assert list(VALIDATOR.iter_errors(report)) == []


def test_the_schema_refuses_a_report_with_a_missing_or_an_unknown_key(make_report):
    report = make_report(2, 1)
    assert not VALIDATOR.is_valid({key: value for key, value in report.items() if key != "notes"})
    assert not VALIDATOR.is_valid({**report, "surprise": 1})


def test_counts_add_up_to_the_input(make_report):
    corrupt = {"broken.jpg": "empty"}
    sizes = make_report(3, 1, duplicates=1, corrupt=corrupt)["generalInformation"]["datasetInformation"]["datasetSizes"]
    parts = {"nCorrupt": 1, "nDuplicate": 1, "nRemoved": 1, "nSelected": 1}
    assert sizes == {"nInput": 4, **parts, "nPreselectedDatapool": 0, "nSelectedWithDatapool": 1}


@pytest.mark.slow
def test_pairwise_histograms_are_those_of_the_embeddings(make_report_input, make_report):
    given, report = make_report_input(), make_report()
    pairwise = information(report)["pairwiseDistance"]
    vectors = unit(given["embeddings"])
    for name, rows in (("input", slice(None)), ("selected", given["selection"].selected)):
        distances = all_distances(vectors[rows])
        expected = distances[np.triu_indices(len(distances), 1)]
        assert pairwise[name]["counts"] == np.histogram(expected, bins=pairwise["bins"])[0].tolist()
        assert pairwise[name]["metrics"]["median"] == pytest.approx(np.median(expected), rel=1e-5)


@pytest.mark.slow
def test_cover_and_neighbour_distances_are_those_of_the_embeddings(make_report_input, make_report):
    given, report = make_report_input(), make_report()
    distances = all_distances(unit(given["embeddings"]))
    cover = distances[:, given["selection"].selected].min(axis=1)
    nearest = distances + np.diag(np.full(len(distances), np.inf))
    assert information(report)["distanceToCoverInput"]["selected"]["metrics"]["max"] == pytest.approx(
        cover.max(), rel=1e-5
    )
    assert report["selectionInformation"]["coverRadius"] == pytest.approx(cover.max(), rel=1e-5)
    measured = information(report)["distanceToNearestNeighborInSet"]["input"]["metrics"]
    assert measured["mean"] == pytest.approx(nearest.min(axis=1).mean(), rel=1e-5)


@pytest.mark.slow
def test_raw_embeddings_are_measured_when_the_selection_did_not_normalize(make_report_input, make_report):
    given = make_report_input(3, 1)
    report = make_report(3, 1, normalize_embeddings=False)
    expected = all_distances(given["embeddings"].astype(np.float64))[np.triu_indices(3, 1)]
    assert information(report)["pairwiseDistance"]["input"]["metrics"]["max"] == pytest.approx(expected.max())


@pytest.mark.slow
def test_examples_pair_a_retained_image_with_the_nearest_removed_one(make_report_input, make_report):
    given, report = make_report_input(), make_report()
    vectors = unit(given["embeddings"])
    removed = given["selection"].removed
    examples = report["selectedAndRemovedImageExamples"]
    for example in examples:
        row = rows_of(given, [example["selectedImage"]])[0]
        distances = np.linalg.norm(vectors[removed] - vectors[row], axis=1)
        assert example["removedImage"] == given["catalog"].names[removed[distances.argmin()]]
        assert example["distance"] == pytest.approx(distances.min(), rel=1e-5)
    assert [entry["plot"] for entry in examples] == [f"plots/filter_decision_{11 * i}.png" for i in range(6)]
    assert sorted(examples, key=lambda entry: entry["distance"]) == examples


def test_examples_stand_alone_where_nothing_was_removed(make_report):
    examples = make_report(2, 2, n_example_images=4)["selectedAndRemovedImageExamples"]
    assert [(entry["selectedImage"] is None, entry["removedImage"]) for entry in examples] == [
        (False, None),
        (False, None),
        (True, None),
        (True, None),
    ]


@pytest.mark.slow
def test_pca_coordinates_are_the_singular_vectors_of_the_embeddings(make_report_input, make_report):
    given, report = make_report_input(), make_report()
    maps = information(report)["scatterPlotData"]
    vectors = unit(given["embeddings"])
    centred = vectors - vectors.mean(axis=0)
    expected = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    order = rows_of(given, maps["sample"]["filenames"])
    np.testing.assert_allclose(
        np.abs(maps["pcaEmbeddingData"]["input2dEmbeddings"]), np.abs(expected)[order], atol=1e-5
    )


@pytest.mark.slow
def test_each_map_shows_every_image_and_marks_the_selected_ones(make_report_input, make_report):
    given, report = make_report_input(), make_report()
    maps = information(report)["scatterPlotData"]
    marked = [
        name for name, chosen in zip(maps["sample"]["filenames"], maps["sample"]["selected"], strict=True) if chosen
    ]
    assert sorted(rows_of(given, marked)) == sorted(given["selection"].selected.tolist())
    assert [len(maps["umapEmbeddingData"][k]["input2dEmbeddings"]) for k in ("5", "15", "50")] == [40, 40, 40]


def test_too_few_images_for_umap_give_the_reason(make_report):
    umap = information(make_report(3, 1))["scatterPlotData"]["umapEmbeddingData"]["15"]
    assert umap["input2dEmbeddings"] == []
    assert "at least 4 images" in umap["reason"]


@pytest.mark.parametrize("k", [3, 90, 200])
def test_a_sample_for_the_maps_is_bounded_and_shows_selected_images(make_report_input, k):
    given = make_report_input(200, k)
    pool = make_candidates(given["embeddings"], given["selection"], normalize=True, seed=0)
    sample = maps_module.sample_for_maps(pool, 60)
    assert len(np.unique(sample.positions)) == 60
    assert (sample.is_selected == np.isin(pool.catalog_rows[sample.positions], given["selection"].selected)).all()
    assert sample.is_selected.sum() >= min(k, 15)


def test_thumbnails_on_a_map_do_not_cover_one_another():
    coordinates = np.random.default_rng(0).normal(size=(500, 2))
    placed = maps_module.place_examples(coordinates, np.arange(500))
    inches = coordinates[placed] / maps_module.map_scale(coordinates)
    gaps = np.abs(inches[:, None] - inches[None]).max(axis=2) + 99 * np.eye(len(placed))
    assert len(placed) > 10
    assert gaps.min() >= maps_module.THUMBNAIL_INCHES


def test_long_lists_are_cut_and_their_totals_are_not(make_report):
    corrupt = {f"{i:05}.jpg": "truncated: so much" for i in range(MOST_LISTED + 5)}
    listed = make_report(2, 1, corrupt=corrupt)["corruptImages"]
    assert (listed["total"], len(listed["images"])) == (MOST_LISTED + 5, MOST_LISTED)
    assert listed["kinds"] == {"truncated": MOST_LISTED + 5}


def test_duplicates_name_the_image_that_stays(make_report):
    duplicates = make_report(3, 1, duplicates=1)["exactDuplicates"]
    assert duplicates["images"] == [{"filename": "walk/frame_002.jpg", "duplicateOf": "walk/frame_000.jpg"}]


def test_not_a_number_becomes_null(make_report):
    report = make_report(2, 1, facts={"stage_seconds": {"EMBEDDING": float("nan")}, "config": {"x": [float("inf")]}})
    assert report["generalInformation"]["runInformation"]["stages"] == [{"stage": "EMBEDDING", "seconds": None}]
    assert report["settings"]["config"] == {"x": [None]}


def test_names_come_back_from_the_file_as_they_were(make_report):
    names = ['"<&>\n\u202e日本.jpg', "stray \udc80 byte.jpg"]
    document = json.loads(report_json_bytes(make_report(2, 2, names=names)))
    assert sorted(document["selectionInformation"]["firstSelected"]) == sorted(names)


@pytest.mark.slow
def test_two_reports_of_one_run_differ_in_nothing_but_the_time_umap_took(make_report):
    first, second = make_report(), make_report()
    for report in (first, second):
        report["generalInformation"]["runInformation"]["umapSeconds"] = 0
    assert report_json_bytes(first) == report_json_bytes(second)
