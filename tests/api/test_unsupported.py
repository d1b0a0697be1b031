"""Options that this version can't carry out are valid and named; options without effect are named with a reason."""

import pytest

from selection_api import ManifestError, accepted_without_effect, check_supported, unsupported_options

WORKER = "spec.workerConfig."
LIGHTLY = "spec.lightlyConfig."
SELECTION = "spec.selectionConfig"
S3 = {"type": "S3", "resourcePath": "s3://bucket/", "region": "eu"}
DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
RANDOM = {"input": {"type": "RANDOM", "random_seed": 1}, "strategy": {"type": "WEIGHTS"}}
SCORES = {"input": {"type": "SCORES", "task": "t", "score": "uncertainty_margin"}, "strategy": {"type": "WEIGHTS"}}
PREDICTIONS = {
    "input": {"type": "PREDICTIONS", "task": "t", "name": "CLASS_DISTRIBUTION"},
    "strategy": {"type": "BALANCE", "distribution": "UNIFORM"},
}
TYPICALITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "TYPICALITY"}}


def select(*strategies, **more):
    return {"spec.workerConfig": ..., SELECTION: {"n_samples": 10, "strategies": list(strategies), **more}}


TILING = {"type": "TILING", "name": "t", "num_rows": 1, "num_cols": 1}
NOT_YET = [
    (
        {WORKER + "selected_sequence_length": 2, WORKER + "object_level.task_name": "t"},
        WORKER + "object_level.task_name",
    ),
    (
        {
            **select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}, auto_tasks=[TILING]),
            "spec.workerConfig": {"selected_sequence_length": 2},
        },
        SELECTION + ".strategies[0].input.task",
    ),
    ({"spec.dataset.type": "VIDEOS", WORKER + "embeddings": "a.csv"}, WORKER + "embeddings"),
    ({"spec.dataset.type": "VIDEOS", WORKER + "pretagging": True}, WORKER + "pretagging"),
    ({"spec.dataset.type": "VIDEOS", WORKER + "object_level.task_name": "t"}, WORKER + "object_level.task_name"),
    ({LIGHTLY + "trainer.gpus": 2}, LIGHTLY + "trainer.gpus"),
]


@pytest.mark.parametrize(("changes", "path"), NOT_YET, ids=[path for _, path in NOT_YET])
def test_option_is_valid_but_not_supported(parse, changes, path):
    problems = unsupported_options(parse(changes).spec)
    assert [problem.path for problem in problems] == [path]
    assert "is not supported by this version" in problems[0].message


NEEDS_PIXELS = [
    ({WORKER + "embeddings": "a.csv", WORKER + "pretagging": True}, WORKER + "pretagging"),
    (
        {
            **select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}),
            "spec.workerConfig": {"embeddings": "a"},
        },
        SELECTION + ".strategies[0].input.task",
    ),
    (
        {
            **select({"input": {"type": "METADATA", "key": "lightly.sharpness"}, "strategy": {"type": "WEIGHTS"}}),
            "spec.workerConfig": {"embeddings": "a"},
        },
        SELECTION + ".strategies[0].input.key",
    ),
]


@pytest.mark.parametrize(("changes", "path"), NEEDS_PIXELS, ids=[path for _, path in NEEDS_PIXELS])
def test_what_is_made_from_pixels_is_refused_beside_given_embeddings(parse, changes, path):
    problems = [problem for problem in unsupported_options(parse(changes).spec) if "pixels" in problem.message]
    assert [problem.path for problem in problems] == [path]


POOLED = {"use_datapool": True}
OBJECTS = select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}, auto_tasks=[TILING])


def test_objects_are_refused_beside_the_datapool_which_keeps_whole_images(parse):
    run = parse({**OBJECTS, "spec.workerConfig": {**POOLED, "object_level": {"task_name": "t"}}})
    paths = [problem.path for problem in unsupported_options(run.spec) if "use_datapool" in problem.message]
    assert paths == [WORKER + "object_level.task_name", SELECTION + ".strategies[0].input.task"]
    assert unsupported_options(parse({**select(DIVERSITY), "spec.workerConfig": POOLED}).spec) == []


def test_settings_of_the_datapool_without_one_are_named(parse):
    run = parse({WORKER + "datasource": {"process_all": True}})
    assert any("datasource has no effect: use_datapool is false" in note for note in accepted_without_effect(run.spec))


ON_OBJECTS = {"object_level": {"task_name": "t"}}
TWO_MEANINGS = [
    ({WORKER + "object_level.task_name": "t", WORKER + "embeddings": "a.csv"}, WORKER + "object_level.task_name"),
    (
        {WORKER + "object_level.task_name": "t", WORKER + "active_learning.task_name": "u"},
        WORKER + "active_learning.task_name",
    ),
    (
        {WORKER + "object_level.task_name": "t", WORKER + "method": "coral", WORKER + "pretagging": True},
        WORKER + "method",
    ),
    (
        {**select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "u"}}), "spec.workerConfig": ON_OBJECTS},
        SELECTION + ".strategies[0].input.task",
    ),
    (
        {**select(DIVERSITY, {**SCORES, "input": {**SCORES["input"], "task": "u"}}), "spec.workerConfig": ON_OBJECTS},
        SELECTION + ".strategies[1].input.task",
    ),
    (
        {
            **select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}, SCORES, auto_tasks=[TILING]),
            "spec.workerConfig": ON_OBJECTS,
        },
        SELECTION + ".strategies[1].input.task",
    ),
    (
        select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}, PREDICTIONS, auto_tasks=[TILING]),
        SELECTION + ".auto_tasks[0].name",
    ),
    (
        {
            **select(DIVERSITY, auto_tasks=[{**TILING, "name": "lightly_pretagging"}]),
            "spec.workerConfig": {"pretagging": True},
        },
        SELECTION + ".auto_tasks[0].name",
    ),
    ({WORKER + "object_level.task_name": "t", WORKER + "use_datapool": True}, WORKER + "object_level.task_name"),
]


@pytest.mark.parametrize(("changes", "path"), TWO_MEANINGS)
def test_what_crops_have_not_and_names_of_two_meanings_are_refused(parse, changes, path):
    assert path in [problem.path for problem in unsupported_options(parse(changes).spec)]


HARMLESS = [
    {WORKER + "object_level": {"task_name": "t", "padding": 0.1}},
    {WORKER + "object_level.task_name": "t", WORKER + "active_learning.task_name": "t"},
    select({**DIVERSITY, "input": {"type": "EMBEDDINGS", "task": "t"}}),
    {**select(DIVERSITY, SCORES, PREDICTIONS), "spec.workerConfig": ON_OBJECTS},
    {WORKER + "pretagging": False, WORKER + "pretagging_debug": False},
    {WORKER + "pretagging": True, WORKER + "pretagging_debug": True, WORKER + "pretagging_upload": True},
    {WORKER + "pretagging": True, WORKER + "pretagging_config.min_counts": {"person": 1}},
    {WORKER + "active_learning": {"task_name": "", "score_name": "uncertainty_margin"}},
    {WORKER + "object_level": {"task_name": "", "padding": 0.1}},
    {WORKER + "scorer": "object-frequency", WORKER + "scorer_config.min_score": 0.5},
    {WORKER + "use_datapool": False, WORKER + "embeddings": "a.csv", WORKER + "selected_sequence_length": 1},
    {WORKER + "method": "random"},
    {WORKER + "selected_sequence_length": 2, WORKER + "use_datapool": True, WORKER + "embeddings": "a.csv"},
    {
        **select(DIVERSITY, SCORES, PREDICTIONS, TYPICALITY, RANDOM, auto_tasks=[{**TILING, "name": "unused"}]),
        "spec.workerConfig": {"selected_sequence_length": 5, "pretagging": True},
    },
    {LIGHTLY + "trainer.gpus": 0},
    {"spec.datasources.input": S3, "spec.datasources.lightly": S3},
    select(DIVERSITY),
    select({**DIVERSITY, "strategy": {"type": "DIVERSITY", "strength": 2.0}}),
    select(RANDOM),
    {WORKER + "method": "coral", WORKER + "embeddings": "a.csv"},
    {WORKER + "method": "coral", WORKER + "active_learning.task_name": "t"},
    {WORKER + "active_learning.task_name": "t", WORKER + "scorer_config.min_score": 0.5},
    select(DIVERSITY, SCORES),
    select({**SCORES, "strategy": {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER"}}),
    select(PREDICTIONS),
    select(TYPICALITY, DIVERSITY, RANDOM),
    select({**DIVERSITY, "strategy": {"type": "DIVERSITY", "strength": -1}}),
    select({**RANDOM, "strategy": {"type": "WEIGHTS", "stopping_condition_max_sum": 3}}),
]


@pytest.mark.parametrize("changes", HARMLESS, ids=str)
def test_value_that_changes_nothing_is_supported(parse, changes):
    run = parse(changes)
    assert check_supported(run) is run


def test_check_names_every_unsupported_option(parse):
    run = parse({**NOT_YET[0][0], LIGHTLY + "trainer.gpus": 2})
    with pytest.raises(ManifestError) as caught:
        check_supported(run)
    assert [problem.path for problem in caught.value.problems] == [
        LIGHTLY + "trainer.gpus",
        WORKER + "object_level.task_name",
    ]


NOTES = [
    ({WORKER + "scorer": "object-frequency"}, WORKER + "scorer"),
    ({WORKER + "scorer_config.min_score": 0.5}, WORKER + "scorer_config"),
    ({WORKER + "active_learning.task_name": ""}, WORKER + "active_learning"),
    ({WORKER + "active_learning.task_name": "t", WORKER + "method": "random"}, WORKER + "active_learning"),
    (
        {WORKER + "active_learning": {"task_name": "t", "score_name": "a"}, WORKER + "scorer": "object-frequency"},
        WORKER + "scorer",
    ),
    ({WORKER + "active_learning.task_name": "t", WORKER + "scorer_config.min_score": 0.5}, WORKER + "scorer_config"),
    ({WORKER + "object_level.task_name": ""}, WORKER + "object_level"),
    (
        {
            WORKER + "object_level.task_name": "t",
            WORKER + "active_learning": {"task_name": "t", "score_name": "object_frequency"},
        },
        WORKER + "active_learning.score_name",
    ),
    (
        {
            WORKER + "object_level.task_name": "t",
            WORKER + "active_learning.task_name": "t",
            WORKER + "scorer": "object-frequency",
        },
        WORKER + "scorer",
    ),
    (
        {
            **select(DIVERSITY, {**SCORES, "input": {**SCORES["input"], "score": "object_frequency"}}),
            "spec.workerConfig": ON_OBJECTS,
        },
        SELECTION + ".strategies[1].input.score",
    ),
    (
        {WORKER + "object_level": {"task_name": "t", "crop_dataset_name": "crops"}},
        WORKER + "object_level.crop_dataset_name",
    ),
    ({WORKER + "corruptness_check.corruption_threshold": 0.2}, WORKER + "corruptness_check.corruption_threshold"),
    ({WORKER + "pretagging_config.min_score": 0.3}, WORKER + "pretagging_config"),
    ({WORKER + "pretagging_upload": True}, WORKER + "pretagging_upload"),
    ({WORKER + "pretagging_debug": True}, WORKER + "pretagging_debug"),
    ({WORKER + "output_image_size": 64}, WORKER + "output_image_size"),
    ({WORKER + "output_image_format": "jpg"}, WORKER + "output_image_format"),
    ({LIGHTLY + "collate.kernel_size": 0.1}, LIGHTLY + "collate.kernel_size"),
    ({LIGHTLY + "trainer.weights_summary": "top"}, LIGHTLY + "trainer.weights_summary"),
    ({LIGHTLY + "summary_callback.max_depth": 2}, LIGHTLY + "summary_callback"),
    (
        {LIGHTLY + "environment_variable_names.lightly_last_checkpoint_path": "X"},
        LIGHTLY + "environment_variable_names",
    ),
    ({LIGHTLY + "hydra.run.dir": "x"}, LIGHTLY + "hydra"),
    ({LIGHTLY + "criterion.temperature": 0.1}, LIGHTLY + "criterion"),
    ({LIGHTLY + "optimizer.lr": 0.1}, LIGHTLY + "optimizer"),
    ({LIGHTLY + "checkpoint_callback.save_last": False}, LIGHTLY + "checkpoint_callback"),
    ({LIGHTLY + "trainer.max_epochs": 3}, LIGHTLY + "trainer.max_epochs"),
]


@pytest.mark.parametrize(("changes", "path"), NOTES, ids=[path for _, path in NOTES])
def test_option_without_effect_is_noted_with_a_reason(parse, changes, path):
    (note,) = accepted_without_effect(parse(changes).spec)
    assert note.startswith(f"{path} has no effect: ")
    assert len(note) > len(path) + 30


def test_what_was_not_set_is_not_noted(parse):
    assert accepted_without_effect(parse().spec) == []
    assert accepted_without_effect(parse({LIGHTLY + "collate.kernel_size": None}).spec) == []


def test_output_image_size_has_an_effect_with_dump_dataset(parse):
    assert accepted_without_effect(parse({WORKER + "output_image_size": 64, WORKER + "dump_dataset": True}).spec) == []


def test_settings_of_the_training_are_not_noted_when_there_is_one(parse):
    settings = {"criterion": {"temperature": 0.1}, "optimizer": {"lr": 1}, "trainer": {"max_epochs": 3}}
    assert accepted_without_effect(parse({WORKER + "enable_training": True, "spec.lightlyConfig": settings}).spec) == []
