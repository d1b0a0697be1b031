"""What the report says about metadata, classes and scores, of the input, the selection and a random choice."""

from collections import Counter

import jsonschema
import numpy as np
import pypdf
import pytest
from PIL import Image

from selection_job.metadata.metadata_column import MetadataColumn
from selection_job.predictions.task_predictions import Category, TaskPredictions
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.measures.source_statistics import describe_metadata, describe_predictions
from selection_job.report.measures.value_sets import (
    MOST_LABELS,
    compare_labels,
    compare_numbers,
    count_labels,
    measure_entropy,
    measure_gini,
)
from selection_job.report.report_json import SourceFindings, read_schema, report_json_bytes
from selection_job.report.writing import write_report
from selection_job.selection.gathered_sources import GatheredSources

VALIDATOR = jsonschema.Draft202012Validator(read_schema())
N, K = 40, 10


def make_task(name, n_images, n_objects, names, kind="object-detection"):
    rng = np.random.default_rng(1)
    owners = np.sort(rng.integers(0, n_images, n_objects)) if n_objects else np.empty(0, np.int64)
    has_file = np.ones(n_images, bool)
    has_file[0] = False
    owners = owners[owners > 0]
    return TaskPredictions(
        name, kind, tuple(Category(2 * i, each) for i, each in enumerate(names)), has_file, owners,
        rng.integers(0, max(1, len(names)), len(owners)).astype(np.int32), rng.random(len(owners)).astype(np.float32),
    )  # fmt: skip


def make_sources(n=N, n_objects=90, names=("car", "bus"), name="street"):
    rng = np.random.default_rng(2)
    numbers = rng.normal(size=n)
    numbers[5] = np.nan
    columns = {
        "lightly.sharpness": MetadataColumn("lightly.sharpness", numbers=rng.random(n)),
        "temperature": MetadataColumn("temperature", numbers=numbers),
        "weather": MetadataColumn("weather", labels=rng.choice(["sun", "rain <i>"], n).tolist()),
    }
    return GatheredSources(
        n,
        tasks={name: make_task(name, n, n_objects, names)},
        columns=columns,
        known_scores={(name, "uncertainty_margin"): rng.random(n), ("other", "s"): np.zeros(n)},
    )


@pytest.fixture
def pool_of(make_report_input):
    """A pool of N images, K of them selected."""
    given = make_report_input(N, K)
    return make_candidates(given["embeddings"], given["selection"], normalize=True, seed=3)


def sets_of(pool):
    rows = pool.catalog_rows
    return {"input": rows, "selected": rows[pool.selected], "random": rows[pool.random]}


def test_numbers_are_those_of_each_set_without_the_missing_ones(pool_of):
    sources = make_sources()
    found = describe_metadata(sources, pool_of).to_json_values()
    assert set(found["lightlyNumeric"]) == {"lightly.sharpness"}
    temperature, values = found["customNumeric"]["temperature"], sources.columns["temperature"].numbers
    for which, rows in sets_of(pool_of).items():
        known = values[rows][np.isfinite(values[rows])]
        assert temperature[which]["metrics"]["mean"] == pytest.approx(known.mean())
        assert (temperature[which]["nMeasured"], temperature[which]["nAll"]) == (len(known), len(rows))
        inside = np.clip(known, *temperature["range"])  # the range is rounded to nine digits
        assert temperature[which]["counts"] == np.histogram(inside, bins=temperature["bins"])[0].tolist()


def test_words_are_counted_in_each_set(pool_of):
    sources = make_sources()
    weather = describe_metadata(sources, pool_of).to_json_values()["customCategorical"]["weather"]
    for which, rows in sets_of(pool_of).items():
        counted = Counter(sources.columns["weather"].labels[row] for row in rows)
        assert weather[which]["counts"] == [counted[label] for label in weather["labels"]]


def test_objects_are_counted_by_their_images_set(pool_of, make_report_input):
    sources = make_sources()
    task = sources.tasks["street"]
    found = describe_predictions(sources, pool_of, make_report_input(N, K)["catalog"])["street"].to_json_values()
    assert found["categoryIdToName"] == {"0": "car", "2": "bus"}
    for which, rows in sets_of(pool_of).items():
        in_set = np.isin(task.owners, rows)
        objects = Counter(task.category_index[in_set].tolist())
        images = Counter(kind for _, kind in set(zip(task.owners[in_set], task.category_index[in_set], strict=True)))
        labels = found["categoryDistribution"]["labels"]
        places = [("car", "bus").index(label) for label in labels]
        assert found["categoryDistribution"][which]["counts"] == [objects[place] for place in places]
        with_one = found["categoryToImageWithCategoryCount"]
        assert dict(zip(with_one["labels"], with_one[which]["counts"], strict=True)) == {
            ("car", "bus")[place]: images[place] for place in (0, 1)
        }
        assert found["objectsPerSample"][which]["metrics"]["mean"] == pytest.approx(in_set.sum() / len(rows))
        assert found["nImagesWithPredictions"][which] == np.count_nonzero(rows != 0)
    assert set(found["activeLearningScoreDistributions"]) == {"uncertainty_margin"}


def test_rare_labels_are_counted_together():
    words = [f"{i:04}" for i in range(200) for _ in range(1 + (i < 10))]
    found = compare_labels({name: count_labels(words) for name in ("input", "selected", "random")})
    assert len(found.labels) == MOST_LABELS
    assert found.n_labels == 200
    assert sum(found.input.counts) + found.input.n_other == len(words)
    assert found.labels[:10] == [f"{i:04}" for i in range(10)]


def test_no_values_and_one_value_have_bins_too():
    empty = compare_numbers({name: np.array([np.nan]) for name in ("input", "selected", "random")})
    assert empty.input.to_json_values() == {"counts": [0] * 30, "metrics": None, "nMeasured": 0, "nAll": 1}
    one = compare_numbers({name: np.array([1 / 3, 1 / 3]) for name in ("input", "selected", "random")})
    assert sum(one.selected.counts) == 2


@pytest.mark.parametrize(
    ("counts", "gini", "entropy"),
    [([3, 3, 3], 0, 1), ([9, 0, 0], 2 / 3, 0), ([0, 0], 0, 0), ([5], 0, 0), ([], 0, 0), ([1, 3], 0.25, 0.8112781)],
)
def test_evenness_equals_hand_computed_values(counts, gini, entropy):
    assert measure_gini(np.array(counts, float)) == pytest.approx(gini)
    assert measure_entropy(np.array(counts, float)) == pytest.approx(entropy)


SHAPES = {
    "two classes": {},
    "one class with a long name": {"names": ["ö" * 200]},
    "a thousand classes": {"names": [f"class {i} <b>&" for i in range(1000)], "n_objects": 3000},
    "no objects": {"n_objects": 0},
    "pretagging": {"name": "lightly_pretagging", "names": ["bicycle", "bus", "car", "person"]},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_report_is_whole_whatever_the_classes(make_report_input, tmp_path, shape):
    report = write_report(tmp_path, **make_report_input(N, K), sources=SourceFindings(make_sources(**SHAPES[shape])))
    assert list(VALIDATOR.iter_errors(report)) == []
    report_json_bytes(report)
    text = "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "Metadata, classes and scores" in text
    for plot in ("classes_0.png", "metadata_labels_0.png", "metadata_numbers_1.png", "scores_0_0.png"):
        with Image.open(tmp_path / "plots" / plot) as picture:
            assert picture.getextrema() != ((255, 255),) * 3
    histograms = {path.name for path in (tmp_path / "plots").glob("pretagging*")}
    wanted = {"pretagging_histogram_before.png", "pretagging_histogram_after.png"}
    assert histograms == (wanted if shape == "pretagging" else set())


def test_a_report_without_sources_has_no_such_section(make_report_input, tmp_path):
    report = write_report(tmp_path, **make_report_input(N, K))
    assert report["predictionTaskInformation"] == {}
    assert report["datasetAnalysis"]["metadataInformation"]["nKeys"] == 0
    text = "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "Metadata, classes" not in text
