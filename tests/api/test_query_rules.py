"""Queries and zero-shot tasks: each mistake is told before anything runs, with its sentence."""

import pytest

from selection_api import accepted_without_effect, parse_manifest
from selection_api.unsupported import unsupported_options

ENCODER = {"spec.workerConfig.encoder": ".lightly/encoders/clip/"}
LIGHT = {"name": "light", "categories": [{"name": "day"}, {"name": "night", "texts": ["a street at night"]}]}
TEXTS = {"type": "QUERIES", "texts": ["a cyclist at night"]}
IMAGES = {"type": "QUERIES", "images": ".lightly/queries/holes/"}
SIMILARITY = {"type": "SIMILARITY"}
INPUT = "spec.selectionConfig.strategies[0].input"
STRATEGY = "spec.selectionConfig.strategies[0].strategy"
TASK = "spec.workerConfig.zero_shot_tasks[0]"
NEEDS_TOWER = "needs an encoder with a text tower: name one in spec.workerConfig.encoder"


def selecting(*entries, **more):
    """Return changes for strategies, each an input alone (SIMILARITY) or with its strategy."""
    pairs = [one if isinstance(one, tuple) else (one, SIMILARITY) for one in entries]
    strategies = [{"input": given, "strategy": strategy} for given, strategy in pairs]
    return {
        "spec.workerConfig": ...,
        **more,
        "spec.selectionConfig": {"n_samples": 5, "strategies": strategies},
    }


def tasked(*tasks, **changes):
    return {**ENCODER, "spec.workerConfig.zero_shot_tasks": list(tasks), **changes}


def threshold(**more):
    return {"type": "THRESHOLD", "threshold": 0.5, "operation": "BIGGER_EQUAL", **more}


ACCEPTED = [
    selecting(TEXTS, **ENCODER),
    selecting({**TEXTS, "other_texts": ["an empty road", "a cyclist by day"]}, **ENCODER),
    selecting((TEXTS, threshold()), **ENCODER),
    selecting(IMAGES),
    selecting(IMAGES, **{"spec.workerConfig.encoder": "BUILT_IN"}),
    selecting(IMAGES, **{"spec.workerConfig.encoder": "BUILT_IN", "spec.workerConfig.embeddings": "a.csv"}),
    selecting(TEXTS, **ENCODER, **{"spec.workerConfig.embeddings": "a.csv"}),
    tasked(LIGHT),
    tasked({**LIGHT, "templates": ["a photo of {}.", "{}"]}, {**LIGHT, "name": "more/light"}),
]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_a_query_or_a_task_that_can_be_run_is_accepted(changes, problems):
    assert problems(changes) == {}


@pytest.mark.parametrize("changes", ACCEPTED)
def test_what_config_yaml_would_hold_reads_back_as_the_same_run(changes, parse):
    run = parse(changes)
    assert parse_manifest(run.resolved_settings()).resolved_settings() == run.resolved_settings()
    assert parse_manifest(run.user_settings()) == run


REFUSED = [
    (selecting(TEXTS), f"{INPUT}.texts", NEEDS_TOWER),
    (selecting(TEXTS, **{"spec.workerConfig.encoder": "BUILT_IN"}), f"{INPUT}.texts", NEEDS_TOWER),
    (selecting({"type": "QUERIES"}), INPUT, "QUERIES needs texts or images"),
    (
        selecting({**TEXTS, "other_texts": ["a road", "a cyclist at night"]}, **ENCODER),
        f"{INPUT}.other_texts[1]",
        "is one of texts as well; what an image may show is said once",
    ),
    (selecting({**TEXTS, **IMAGES}, **ENCODER), f"{INPUT}.images", "put each into a strategy of its own"),
    (selecting({**IMAGES, "other_texts": ["a road"]}, **ENCODER), f"{INPUT}.other_texts", "and there are none"),
    (
        selecting(IMAGES, **{"spec.workerConfig.embeddings": "a.csv"}),
        f"{INPUT}.images",
        "name the encoder that made these in spec.workerConfig.encoder",
    ),
    (selecting({**TEXTS, "texts": []}, **ENCODER), f"{INPUT}.texts", "1"),
    (selecting({**TEXTS, "texts": [" "]}, **ENCODER), f"{INPUT}.texts[0]", "expected a sentence; found only blanks"),
    (
        selecting({**TEXTS, "texts": ["a", "a"]}, **ENCODER),
        f"{INPUT}.texts",
        "expected each sentence once; found the string 'a'",
    ),
    (selecting({**TEXTS, "texts": [f"{i}" for i in range(101)]}, **ENCODER), f"{INPUT}.texts", "100"),
    (selecting({**IMAGES, "images": "../holes/"}), f"{INPUT}.images", "without '.' and '..' parts"),
    (selecting({**TEXTS, "key": "a"}, **ENCODER), f"{INPUT}.key", "does not belong to type QUERIES"),
    (selecting((TEXTS, {"type": "DIVERSITY"}), **ENCODER), f"{INPUT}.type", "DIVERSITY does not work with QUERIES"),
    (
        selecting(
            ({"type": "PREDICTIONS", "task": "t", "name": "CATEGORY_PROBABILITY"}, threshold()),
        ),
        f"{INPUT}.categories",
        "is required for CATEGORY_PROBABILITY",
    ),
    (
        selecting(
            (
                {"type": "PREDICTIONS", "task": "t", "name": "CATEGORY_PROBABILITY", "categories": ["a"]},
                {"type": "BALANCE", "distribution": "INPUT"},
            )
        ),
        f"{INPUT}.name",
        "BALANCE works with CLASS_DISTRIBUTION",
    ),
    ({"spec.workerConfig.zero_shot_tasks": [LIGHT]}, "spec.workerConfig.zero_shot_tasks", NEEDS_TOWER),
    (
        tasked({**LIGHT, "name": "lightly_pretagging"}),
        f"{TASK}.name",
        "lightly_pretagging is the name of the built-in detector's task",
    ),
    (tasked({**LIGHT, "name": "a/../b"}), f"{TASK}.name", "is the name of a folder below .lightly/predictions/"),
    (tasked({**LIGHT, "name": ""}), f"{TASK}.name", "expected"),
    (
        tasked(LIGHT, LIGHT),
        "spec.workerConfig.zero_shot_tasks[1].name",
        "is the name of an earlier task; each has its own",
    ),
    (tasked({**LIGHT, "categories": [{"name": "day"}]}), f"{TASK}.categories", "2"),
    (
        tasked({**LIGHT, "categories": [{"name": "day"}, {"name": "day", "texts": ["sun"]}]}),
        f"{TASK}.categories[1].name",
        "is the name of an earlier category; each has its own",
    ),
    (
        tasked({**LIGHT, "categories": [{"name": "a", "texts": ["sun"]}, {"name": "b", "texts": ["sun"]}]}),
        f"{TASK}.categories[1].texts",
        "are the prompts of 'a' as well",
    ),
    (tasked({**LIGHT, "templates": ["a photo"]}), f"{TASK}.templates", "expected sentences with {} once"),
    (tasked({**LIGHT, "templates": ["{} and {}"]}), f"{TASK}.templates", "expected sentences with {} once"),
    (
        tasked(LIGHT, **{"spec.workerConfig.object_level": {"task_name": "light"}}),
        "spec.workerConfig.object_level.task_name",
        "light is one of zero_shot_tasks, which say something of whole images and have no boxes",
    ),
]


@pytest.mark.parametrize(("changes", "path", "sentence"), REFUSED)
def test_what_is_wrong_is_told_at_its_place(changes, path, sentence, problems):
    found = problems(changes)
    assert sentence in found.get(path, f"nothing at {path}, but {found}")


USES = [
    ({"type": "EMBEDDINGS", "task": "light"}, {"type": "DIVERSITY"}, f"{INPUT}.task", "which have no objects"),
    (
        {"type": "SCORES", "task": "light", "score": "object_frequency"},
        {"type": "WEIGHTS"},
        f"{INPUT}.score",
        "whose scores are uncertainty_least_confidence, uncertainty_margin, uncertainty_entropy",
    ),
    (
        {"type": "PREDICTIONS", "task": "light", "name": "CATEGORY_PROBABILITY", "categories": ["dusk"]},
        threshold(),
        f"{INPUT}.categories",
        "light has no 'dusk'; its categories: 'day', 'night'",
    ),
    (
        {"type": "PREDICTIONS", "task": "light", "name": "CLASS_DISTRIBUTION"},
        {"type": "BALANCE", "distribution": "TARGET", "target": {"noon": 0.5}},
        f"{STRATEGY}.target",
        "light has no 'noon'; its categories: 'day', 'night'",
    ),
]


@pytest.mark.parametrize(("given", "strategy", "path", "sentence"), USES)
def test_a_strategy_that_wants_what_the_task_has_not_is_told_before_anything_runs(
    given, strategy, path, sentence, problems
):
    zero_shot = {"spec.workerConfig.zero_shot_tasks": [LIGHT]}
    found = problems(selecting((given, strategy), **ENCODER, **zero_shot))
    assert sentence in found.get(path, f"nothing at {path}, but {found}")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"spec.workerConfig.object_level": {"task_name": "cars"}}, "objects"),
        ({"spec.workerConfig.selected_sequence_length": 5}, "sequences"),
    ],
)
def test_queries_are_refused_where_something_else_than_images_is_selected(document, changes, word):
    run = parse_manifest(document(selecting(IMAGES, **changes)))
    told = {problem.path: problem.message for problem in unsupported_options(run.spec)}
    assert f"where {word} are selected" in told[f"{INPUT}.type"]


def test_an_encoder_beside_embeddings_without_anything_to_embed_is_told(parse):
    changes = {"spec.workerConfig.encoder": "BUILT_IN", "spec.workerConfig.embeddings": "a.csv"}
    notes = accepted_without_effect(parse(changes).spec)
    assert any(note.startswith("spec.workerConfig.encoder has no effect") for note in notes)
    used = selecting(IMAGES, **{f"{path}": value for path, value in changes.items()})
    assert not any("encoder has no effect" in note for note in accepted_without_effect(parse(used).spec))


def test_an_upload_without_tasks_is_told(parse):
    notes = accepted_without_effect(parse({"spec.workerConfig.zero_shot_upload": True}).spec)
    assert any(note.startswith("spec.workerConfig.zero_shot_upload has no effect") for note in notes)
