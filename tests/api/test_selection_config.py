"""selectionConfig: amounts, which keys belong to which type, which strategy works on which input."""

import pytest

from selection_api import parse_manifest

HERE = "spec.selectionConfig"
DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}


def config(*entries, **more):
    return {"n_samples": 10, "strategies": list(entries) or [DIVERSITY], **more}


def entry(input_type, strategy_type, input_keys=(), strategy_keys=()):
    return {
        "input": {"type": input_type, **dict(input_keys)},
        "strategy": {"type": strategy_type, **dict(strategy_keys)},
    }


@pytest.fixture
def found(problems):
    """Return a function (selectionConfig) -> problems below it."""
    changes = {"spec.workerConfig": ...}
    return lambda value: {
        path.removeprefix(HERE): message for path, message in problems({**changes, HERE: value}).items()
    }


SCORES = {"task": "t", "score": "uncertainty_entropy"}
ACCEPTED = [
    config(),
    config(n_samples=1),
    config(n_samples=None, proportion_samples=1.0),
    config(n_samples=None, proportion_samples=0.1),
    config(entry("EMBEDDINGS", "DIVERSITY", {}, {"stopping_condition_minimum_distance": 0.2}), n_samples=-1),
    config(entry("SCORES", "THRESHOLD", SCORES, {"threshold": 0.2, "operation": "BIGGER"}), n_samples=-1),
    config(entry("EMBEDDINGS", "DIVERSITY", {"task": "t"}, {"strength": -1e9})),
    config(entry("RANDOM", "WEIGHTS", {"random_seed": 42})),
    config(entry("SCORES", "WEIGHTS", SCORES, {"stopping_condition_max_sum": 5})),
    config(entry("SCORES", "THRESHOLD", SCORES, {"threshold": 0.2, "operation": "BIGGER"})),
    config(
        entry("METADATA", "THRESHOLD", {"key": "lightly.sharpness"}, {"threshold": 20, "operation": "SMALLER_EQUAL"})
    ),
    config(entry("PREDICTIONS", "BALANCE", {"task": "t", "name": "CLASS_DISTRIBUTION"}, {"distribution": "UNIFORM"})),
    config(entry("METADATA", "BALANCE", {"key": "w"}, {"distribution": "TARGET", "target": {"sun": 0.7, "rain": 0.2}})),
    config(
        entry(
            "PREDICTIONS",
            "WEIGHTS",
            {"task": "t", "name": "CATEGORY_COUNT", "categories": ["car"]},
            {"target_range": {"min_sum": 1, "max_sum": 2}},
        )
    ),
    config(entry("EMBEDDINGS", "SIMILARITY", {"dataset_id": "a" * 24, "tag_name": "queries"})),
    config(
        entry(
            "EMBEDDINGS", "TYPICALITY", {}, {"num_nearest_neighbors": 20, "stopping_condition_minimum_typicality": 0.1}
        )
    ),
    config(auto_tasks=[{"type": "TILING", "name": "t", "num_rows": 2, "num_cols": 2, "overlap": 0.1}]),
    config(auto_tasks=[{"type": "CROP", "name": "t", "bboxs": [[0, 0, 0.5, 1]]}]),
    config(auto_tasks=[{"type": "TILING", "name": "t", "num_rows": 100, "num_cols": 10}]),
    config(lightly_path_regex="(?P<day>.*)/"),
]


@pytest.mark.parametrize("value", ACCEPTED, ids=range(len(ACCEPTED)))
def test_config_is_accepted(found, value):
    assert found(value) == {}


STRATEGY = ".strategies[0].strategy"
INPUT = ".strategies[0].input"
REFUSED = [
    (config(n_samples=None), "", "exactly one of n_samples and proportion_samples; found none"),
    (config(proportion_samples=0.5), "", "found both"),
    (config(n_samples=0), ".n_samples", "would select nothing"),
    (config(n_samples=-1), ".n_samples", "nothing tells how many"),
    (config(n_samples=-2), ".n_samples", "at least -1"),
    (config(n_samples=0.5), ".n_samples", "expected an integer"),
    (config(n_samples="10"), ".n_samples", "remove the quotes"),
    (config(n_samples=None, proportion_samples=0), ".proportion_samples", "would select nothing"),
    (config(n_samples=None, proportion_samples=1.1), ".proportion_samples", "from 0 to 1"),
    (config(strategies=[]), ".strategies", "at least 1 entries"),
    (config(strategies=DIVERSITY), ".strategies", "expected a list"),
    (config({"input": {"type": "EMBEDDINGS"}}), ".strategies[0].strategy", "is required"),
    (config(DIVERSITY | {"strength": 1}), ".strategies[0].strength", "Option 'strength' does not exist!"),
    (config(entry("EMBEDDING", "DIVERSITY")), INPUT + ".type", "Did you mean 'EMBEDDINGS'?"),
    (config(entry("SCORES", "WEIGHTS", {"score": "s"})), INPUT + ".task", "is required for type SCORES"),
    (config(entry("SCORES", "WEIGHTS", {"task": "t"})), INPUT + ".score", "is required for type SCORES"),
    (config(entry("METADATA", "WEIGHTS")), INPUT + ".key", "is required for type METADATA"),
    (config(entry("PREDICTIONS", "BALANCE", {"task": "t"}, {"distribution": "INPUT"})), INPUT + ".name", "is required"),
    (config(entry("RANDOM", "WEIGHTS", {"key": "k"})), INPUT + ".key", "does not belong to type RANDOM"),
    (config(entry("RANDOM", "DIVERSITY")), INPUT + ".type", "DIVERSITY does not work with RANDOM"),
    (config(entry("EMBEDDINGS", "WEIGHTS")), INPUT + ".type", "WEIGHTS does not work with EMBEDDINGS"),
    (config(entry("EMBEDDINGS", "SIMILARITY")), INPUT, "needs dataset_id and tag_name"),
    (
        config(entry("EMBEDDINGS", "DIVERSITY", {}, {"threshold": 1})),
        STRATEGY + ".threshold",
        "does not belong to type",
    ),
    (config(entry("EMBEDDINGS", "DIVERSITY", {}, {"strength": 2e9})), STRATEGY + ".strength", "from -1e+09 to 1e+09"),
    (
        config(entry("EMBEDDINGS", "DIVERSITY", {}, {"stoppingConditionMinimumDistance": 1})),
        STRATEGY + ".stoppingConditionMinimumDistance",
        "Did you mean 'stopping_condition_minimum_distance'?",
    ),
    (config(entry("SCORES", "THRESHOLD", SCORES, {"threshold": 1})), STRATEGY + ".operation", "is required"),
    (
        config(entry("SCORES", "THRESHOLD", SCORES, {"threshold": 1, "operation": "BIGGER", "strength": 1})),
        STRATEGY + ".strength",
        "does not belong to type THRESHOLD",
    ),
    (
        config(entry("METADATA", "BALANCE", {"key": "k"}, {"distribution": "TARGET"})),
        STRATEGY + ".target",
        "belong together",
    ),
    (
        config(entry("METADATA", "BALANCE", {"key": "k"}, {"distribution": "TARGET", "target": {"a": 0.6, "b": 0.6}})),
        STRATEGY + ".target",
        "more than 1",
    ),
    (
        config(entry("RANDOM", "WEIGHTS", {}, {"target_range": {"min_sum": 2, "max_sum": 1}})),
        STRATEGY + ".target_range",
        "min_sum lies above max_sum",
    ),
    (
        config(entry("EMBEDDINGS", "TYPICALITY", {}, {"num_nearest_neighbors": 1})),
        STRATEGY + ".num_nearest_neighbors",
        "at least 2",
    ),
    (
        config(entry("PREDICTIONS", "WEIGHTS", {"task": "t", "name": "CLASS_DISTRIBUTION"})),
        INPUT + ".name",
        "WEIGHTS works with CATEGORY_COUNT",
    ),
    (
        config(entry("PREDICTIONS", "BALANCE", {"task": "t", "name": "CATEGORY_COUNT"}, {"distribution": "INPUT"})),
        INPUT + ".name",
        "BALANCE works with CLASS_DISTRIBUTION",
    ),
    (
        config(entry("PREDICTIONS", "WEIGHTS", {"task": "t", "name": "CATEGORY_COUNT"})),
        INPUT + ".categories",
        "is required for CATEGORY_COUNT",
    ),
    (
        config(
            entry(
                "PREDICTIONS",
                "BALANCE",
                {"task": "t", "name": "CLASS_DISTRIBUTION", "categories": ["a"]},
                {"distribution": "INPUT"},
            )
        ),
        INPUT + ".categories",
        "belongs to CATEGORY_COUNT",
    ),
    (
        config(entry("EMBEDDINGS", "DIVERSITY", {"tag_name": "queries"})),
        INPUT + ".tag_name",
        "belongs to SIMILARITY, not to DIVERSITY",
    ),
    (
        config(entry("EMBEDDINGS", "SIMILARITY", {"dataset_id": "a" * 24, "tag_name": "queries", "task": "t"})),
        INPUT + ".task",
        "compares whole images",
    ),
    (config(auto_tasks=[{"type": "TILING", "name": "t"}]), ".auto_tasks[0].num_cols", "is required"),
    (
        config(auto_tasks=[{"type": "TILING", "name": "t", "num_rows": 101, "num_cols": 10}]),
        ".auto_tasks[0].num_rows",
        "1010 tiles an image are more than 1000",
    ),
    (
        config(auto_tasks=[{"type": "CROP", "name": "t", "bboxs": [[0, 0, 1, 1]]}] * 2),
        ".auto_tasks[1].name",
        "each has its own",
    ),
]


@pytest.mark.parametrize(("value", "path", "message"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
def test_config_is_refused_at_the_field(found, value, path, message):
    problems = found(value)
    assert message in problems[path]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "coreset"),
        ("stopping_condition", {"n_samples": 0.1}),
        ("scorer", "object-frequency"),
        ("active_learning", {"task_name": ""}),
    ],
)
def test_selection_is_told_once(problems, key, value):
    found = problems({"spec.workerConfig": {key: value}, HERE: config()})
    assert list(found) == [f"spec.workerConfig.{key}"]
    assert "selectionConfig" in found[f"spec.workerConfig.{key}"]


def test_null_legacy_keys_beside_a_selection_config_are_absent(problems):
    assert problems({"spec.workerConfig": {"method": None, "stopping_condition": None}, HERE: config()}) == {}


def test_resolved_settings_of_a_selection_config_read_back(document, read_back):
    run = parse_manifest(document({"spec.workerConfig": ..., HERE: config()}))
    assert read_back(run) == run


ODD_TASKS = ["../x", "a//b", "/a", "a/", ".", "a/.."]


@pytest.mark.parametrize("task", ODD_TASKS)
def test_a_task_that_is_no_folder_is_refused(problems, task):
    entry = {"input": {"type": "SCORES", "task": task, "score": "s"}, "strategy": {"type": "WEIGHTS"}}
    changes = {"spec.workerConfig": ..., "spec.selectionConfig": {"n_samples": 2, "strategies": [entry]}}
    assert "below .lightly/predictions/" in problems(changes)["spec.selectionConfig.strategies[0].input.task"]
    for key in ("active_learning", "object_level"):
        path = f"spec.workerConfig.{key}.task_name"
        assert "below .lightly/predictions/" in problems({path: task})[path]


def test_a_task_may_lie_deeper_and_must_not_be_empty(problems):
    entry = {"input": {"type": "SCORES", "task": "models/a.b", "score": "s"}, "strategy": {"type": "WEIGHTS"}}
    changes = {"spec.workerConfig": ..., "spec.selectionConfig": {"n_samples": 2, "strategies": [entry]}}
    assert problems(changes) == {}
    entry["input"]["task"] = ""
    assert problems(changes) == {"spec.selectionConfig.strategies[0].input.task": "is empty; name a prediction task"}
