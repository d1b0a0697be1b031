"""What a run loads besides its images, and what makes it run again."""

import numpy as np
import pytest

from selection_api import parse_manifest
from selection_job.catalog.catalog import Catalog, Listing
from selection_job.catalog.embedded import Embedded
from selection_job.embeddings.query_set import query_key
from selection_job.errors import UnusableData
from selection_job.manifest.data_needs import DataNeeds
from selection_job.process.progress import Progress
from selection_job.run.context import set_up
from selection_job.stages.sources import gather_sources, list_source_versions, load_sources

DATASET, TAG = "a" * 24, "queries"
WEIGHTS, THRESHOLD = {"type": "WEIGHTS"}, {"type": "THRESHOLD", "threshold": 1, "operation": "BIGGER"}
SIMILARITY = {
    "input": {"type": "EMBEDDINGS", "dataset_id": DATASET, "tag_name": TAG}, "strategy": {"type": "SIMILARITY"},
}  # fmt: skip


def scores(task, score, strategy=WEIGHTS):
    return {"input": {"type": "SCORES", "task": task, "score": score}, "strategy": strategy}


EVERYTHING = [
    scores("b", "s"),
    scores("a", "s", THRESHOLD),
    {"input": {"type": "METADATA", "key": "lightly.sharpness"}, "strategy": THRESHOLD},
    {
        "input": {"type": "PREDICTIONS", "task": "c", "name": "CATEGORY_COUNT", "categories": ["x"]},
        "strategy": WEIGHTS,
    },
    {"input": {"type": "EMBEDDINGS", "task": "d"}, "strategy": {"type": "DIVERSITY"}},
    SIMILARITY,
]


@pytest.fixture
def make_place(tmp_path):
    """A factory of workplaces over two folders; strategies or a workerConfig are given."""
    for name in ("input", "lightly", "scratch"):
        (tmp_path / name).mkdir()

    def make(strategies=None, **worker):
        spec = {
            "datasources": {
                "input": {"type": "LOCAL", "resourcePath": str(tmp_path / "input")},
                "lightly": {"type": "LOCAL", "resourcePath": str(tmp_path / "lightly")},
            },
            "workerConfig": worker,
            "selectionConfig": None if strategies is None else {"n_samples": 2, "strategies": strategies},
        }
        names = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
        return set_up(parse_manifest({**names, "spec": spec}), tmp_path / "scratch", Progress(quiet=True))

    return make


def test_every_kind_of_input_is_found(make_place):
    assert make_place(EVERYTHING).needs == DataNeeds(
        tasks=("a", "b", "c", "d"), scores=(("a", "s"), ("b", "s")),
        metadata=("lightly.sharpness",), query_sets=((DATASET, TAG),),
    )  # fmt: skip


def test_the_older_form_needs_its_task_and_the_plain_coreset_nothing(make_place):
    stopping = {"stopping_condition": {"n_samples": 2}}
    assert make_place(active_learning={"task_name": "t"}, **stopping).needs.tasks == ("t",)
    assert make_place(**stopping).needs == DataNeeds((), (), (), ())


def write(folder, key, text="x"):
    path = folder / "lightly" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_files_that_a_strategy_reads_make_a_run_run_again(make_place, tmp_path):
    place = make_place(EVERYTHING)
    assert list_source_versions(place) == []
    keys = [f".lightly/predictions/{task}/{name}" for task in "abcd" for name in ("schema.json", "i/1.json")]
    for key in [*keys, query_key(DATASET, TAG)]:
        write(tmp_path, key)
    write(tmp_path, ".lightly/predictions/other/schema.json")
    write(tmp_path, ".lightly/metadata/schema.json")
    before = list_source_versions(place)
    assert [key for key, _ in before] == sorted([*keys, query_key(DATASET, TAG)])
    write(tmp_path, keys[0], "changed")
    assert list_source_versions(place) != before
    own = [{"input": {"type": "METADATA", "key": "weather"}, "strategy": THRESHOLD}]
    assert [key for key, _ in list_source_versions(make_place(own))] == [".lightly/metadata/schema.json"]


def gather(place, n=3, scores=None):
    """Gather over n images, none of which is corrupt."""
    names = [f"{i}.jpg" for i in range(n)]
    listing = Listing(names, np.ones(n, np.int64), [""] * n)
    catalog = Catalog(
        names, np.zeros((n, 32), np.uint8), np.ones(n, np.int64), np.ones(n, np.int32), np.ones(n, np.int32),
        np.arange(n), {},
    )  # fmt: skip
    embedded = Embedded(catalog, np.zeros((n, 2), np.float32))
    return gather_sources(place, load_sources(place, listing), embedded, scores).value


def test_a_query_set_is_loaded_and_a_missing_one_is_an_error(make_place, tmp_path):
    place = make_place([SIMILARITY])
    with pytest.raises(UnusableData, match="does not exist"):
        gather(place)
    write(tmp_path, query_key(DATASET, TAG), "filenames,embedding_0,embedding_1,labels\na,1,2,0\n")
    assert gather(place).query_vectors(DATASET, TAG).tolist() == [[1, 2]]


def test_the_scores_of_the_embeddings_table_take_part(make_place):
    place = make_place(method="coral", embeddings=".lightly/embeddings/a.csv", stopping_condition={"n_samples": 2})
    sources = gather(place, scores=np.array([0.1, 0.2, 0.3]))
    assert sources.scores("", "al_score").tolist() == [0.1, 0.2, 0.3]
    assert "COMPUTING_ACTIVE_LEARNING_SCORES" in place.progress.stage_seconds
    with pytest.raises(UnusableData, match="has none"):
        gather(place)


def predictions_of(name, strategy, **more):
    return {"input": {"type": "PREDICTIONS", "task": "t", "name": name, **more}, "strategy": strategy}


BALANCE = {"type": "BALANCE", "distribution": "TARGET", "target": {"bus": 0.5}}


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            scores("t", "mean_uncertainty"),
            r"^spec.selectionConfig.strategies\[0\]: .* has no score 'mean_uncertainty'; ",
        ),
        (predictions_of("CATEGORY_COUNT", WEIGHTS, categories=["car", "x"]), r"strategies\[0\]: .* no categories 'x'"),
        (predictions_of("CLASS_DISTRIBUTION", BALANCE), r"strategies\[0\].strategy.target: 'bus' is not among .*'car'"),
    ],
)
def test_what_a_task_does_not_have_is_told_before_any_image_is_read(make_place, tmp_path, strategy, message):
    write(tmp_path, ".lightly/predictions/tasks.json", '["t"]')
    schema = '{"task_type": "classification", "categories": [{"id": 0, "name": "car"}]}'
    write(tmp_path, ".lightly/predictions/t/schema.json", schema)
    write(tmp_path, ".lightly/predictions/t/a.json", '{"predictions": []}')
    listing = Listing(["a.jpg"], np.ones(1, np.int64), [""])
    with pytest.raises(UnusableData, match=message):
        load_sources(make_place([strategy]), listing)
