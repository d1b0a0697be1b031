"""Which encoder a run embeds with, and what can't stand beside one."""

import pytest

from selection_api import accepted_without_effect
from selection_api.encoder_rules import is_built_in

WORKER = "spec.workerConfig."
LIGHTLY = "spec.lightlyConfig."
ENCODER = WORKER + "encoder"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {ENCODER: "BUILT_IN"},
        {LIGHTLY + "loader.batch_size": 32, LIGHTLY + "seed": 4, LIGHTLY + "trainer.precision": 16},
        {LIGHTLY + "model": {}, LIGHTLY + "collate": {"min_scale": 0.5}},
        {WORKER + "enable_training": False, WORKER + "checkpoint": "", LIGHTLY + "pre_trained": True},
        {ENCODER: "BUILT_IN", WORKER + "embeddings": "a.csv"},
    ],
    ids=str,
)
def test_where_nothing_says_anything_else_the_built_in_encoder_embeds(parse, changes):
    run = parse(changes)
    assert is_built_in(run.spec)
    resolved = run.resolved_settings()["spec"]
    assert resolved["workerConfig"]["encoder"] == "BUILT_IN"
    assert "model" not in resolved["lightlyConfig"]
    assert "input_size" not in resolved["lightlyConfig"]["collate"]


@pytest.mark.parametrize(
    "changes",
    [
        {WORKER + "enable_training": True},
        {WORKER + "checkpoint": "a.ckpt"},
        {LIGHTLY + "checkpoint": "a.ckpt"},
        {WORKER + "embeddings": "a.csv"},
        {LIGHTLY + "model.name": "resnet-18"},
        {LIGHTLY + "model.num_ftrs": 32},
        {LIGHTLY + "collate.input_size": 64},
        {ENCODER: ".lightly/encoders/x/"},
    ],
    ids=str,
)
def test_what_names_another_encoder_keeps_it(parse, changes):
    run = parse(changes)
    assert not is_built_in(run.spec)
    assert run.resolved_settings()["spec"]["workerConfig"]["encoder"] == changes.get(ENCODER, "")


@pytest.mark.parametrize("name", ["BUILT_IN", ".lightly/encoders/x/"])
@pytest.mark.parametrize(
    ("beside", "path", "message"),
    [
        (
            {WORKER + "checkpoint": "a.ckpt"},
            ENCODER,
            "{name} and checkpoint name two embedding models; set one of them",
        ),
        (
            {LIGHTLY + "checkpoint": "a.ckpt"},
            ENCODER,
            "{name} and checkpoint name two embedding models; set one of them",
        ),
        (
            {WORKER + "enable_training": True},
            ENCODER,
            "is not trained further; remove enable_training, or the encoder",
        ),
        (
            {LIGHTLY + "model.name": "resnet-18"},
            LIGHTLY + "model",
            "belongs to lightly's networks; remove it, or the encoder",
        ),
        (
            {LIGHTLY + "collate.input_size": 64},
            LIGHTLY + "collate.input_size",
            "belongs to lightly's networks; with an encoder set spec.workerConfig.encoder_config.input_size",
        ),
    ],
    ids=["checkpoint", "lightly's checkpoint", "training", "network", "input size"],
)
def test_two_embedding_models_are_refused(problems, name, beside, path, message):
    assert problems({ENCODER: name, **beside})[path] == message.format(name=name)


def test_what_only_a_training_looks_at_is_named_where_nothing_is_trained(parse):
    training_only = {LIGHTLY + "pre_trained": False, LIGHTLY + "collate.min_scale": 0.5}
    notes = accepted_without_effect(parse(training_only).spec)
    assert notes == [
        "spec.lightlyConfig.pre_trained has no effect: enable_training is false, so nothing is trained",
        "spec.lightlyConfig.collate.min_scale has no effect: enable_training is false, so nothing is trained",
    ]
    assert accepted_without_effect(parse({**training_only, WORKER + "enable_training": True}).spec) == []
