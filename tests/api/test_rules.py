"""Rules between fields, and how problems are collected into one message."""

import pytest

from selection_api import ManifestError, parse_manifest

WORKER = "spec.workerConfig."


def test_all_problems_come_at_once_fields_and_rules_together(problems):
    found = problems(
        {
            "metadata.name": "Cats!",
            "spec.datasources.input.resourcePath": "/etc",
            WORKER + "num_threads": "10",
            WORKER + "methd": "coreset",
            WORKER + "use_datapool": True,
            WORKER + "enable_training": True,
            "spec.lightlyConfig.trainer.gpus": 2,
            "spec.resources": {},
        }
    )
    assert set(found) == {
        "metadata.name",
        "spec.datasources.input.resourcePath",
        WORKER + "num_threads",
        WORKER + "methd",
        WORKER + "enable_training",
        "spec.lightlyConfig.trainer.gpus",
    }


def test_message_has_one_line_a_path(document):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(document({WORKER + "num_threads": "1\n0", WORKER + "methd\n": 1}))
    assert str(caught.value).splitlines() == [
        "The manifest has 2 problems:",
        r"  spec.workerConfig.num_threads: expected an integer (at least -1); found the string '1\n0'",
        r"  spec.workerConfig['methd\n']: Option 'methd\n' does not exist! Did you mean 'method'?",
    ]


def test_consequences_of_a_wrong_field_are_kept_back(problems):
    assert list(problems({WORKER + "stopping_condition": {"n_sample": 0.1}})) == [
        "spec.workerConfig.stopping_condition.n_sample"
    ]
    assert list(problems({"spec.workerConfig": {"stoping_condition": {"n_samples": 0.1}}})) == [
        "spec.workerConfig.stoping_condition"
    ]


@pytest.mark.parametrize("key", ["embeddings", "use_datapool"])
def test_training_excludes(problems, key):
    value = ".lightly/embeddings/a.csv" if key == "embeddings" else True
    found = problems({WORKER + "enable_training": True, WORKER + key: value})
    assert f"not possible together with {key}" in found[WORKER + "enable_training"]


def test_coral_needs_a_score(problems, parse):
    coral = {WORKER + "method": "coral"}
    assert "none is named" in problems(coral)[WORKER + "method"]
    for more in (
        {"active_learning.task_name": "t"}, {"pretagging": True}, {"embeddings": ".lightly/embeddings/a.csv"}
    ):  # fmt: skip
        parse({**coral, **{WORKER + key: value for key, value in more.items()}})


def test_two_checkpoints_must_agree(problems):
    found = problems({WORKER + "checkpoint": "a.ckpt", "spec.lightlyConfig.checkpoint": "b.ckpt"})
    assert list(found) == ["spec.lightlyConfig.checkpoint"]


@pytest.mark.parametrize(("worker", "lightly"), [("a.ckpt", ""), ("", "a.ckpt"), ("a.ckpt", "a.ckpt")])
def test_checkpoint_is_taken_from_where_it_is(parse, worker, lightly):
    run = parse({WORKER + "checkpoint": worker, "spec.lightlyConfig.checkpoint": lightly})
    assert run.spec.checkpoint == "a.ckpt"


GPUS = "spec.lightlyConfig.trainer.gpus"


@pytest.mark.parametrize(
    ("gpus", "resources"),
    [
        (1, None),
        (1, {"limits": {"nvidia.com/gpu": 1}}),
        (1, {"limits": {"nvidia.com/gpu": "2"}}),
        (1, {"limits": {"amd.com/gpu": 1}}),
        (1, {"limits": {"nvidia.com/mig-1g.10gb": 1}}),
        (0, {}),
        (..., {}),
    ],
)
def test_gpus_within_the_limit_are_fine(problems, gpus, resources):
    assert problems({GPUS: gpus, "spec.resources": resources}) == {}


@pytest.mark.parametrize(
    ("gpus", "resources"), [(1, {}), (2, {"limits": {"nvidia.com/gpu": 1}}), (1, {"limits": {"cpu": 4}})]
)
def test_gpus_above_the_limit_are_refused(problems, gpus, resources):
    assert "above the" in problems({GPUS: gpus, "spec.resources": resources})[GPUS]


def test_environment_variable_has_one_value(problems):
    both = {"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    assert list(problems({"spec.podTemplate.env": [{"name": "B"}, both]})) == ["spec.podTemplate.env[1]"]


@pytest.mark.parametrize("value", [None, [], "text", 3, [{"kind": "SelectionRun"}]])
def test_document_that_is_no_mapping_is_refused(value):
    with pytest.raises(ManifestError, match="expected a mapping with apiVersion"):
        parse_manifest(value)


def test_empty_mapping_names_all_that_is_required():
    with pytest.raises(ManifestError) as caught:
        parse_manifest({})
    assert {problem.path for problem in caught.value.problems} == {"apiVersion", "kind", "metadata", "spec"}


def test_deep_nesting_is_refused_without_a_crash(document):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    given = document()
    given["spec"]["lightlyConfig"] = {"hydra": {"x": deep}}
    with pytest.raises(ManifestError, match="levels deep"):
        parse_manifest(given)


def test_keys_that_are_no_strings_are_refused(document):
    given = document()
    given["spec"]["workerConfig"][1] = 2
    with pytest.raises(ManifestError, match="expected a key that is a string"):
        parse_manifest(given)


def test_object_from_the_server_is_accepted(document):
    given = document(
        {
            "metadata.uid": "1f2e3d4c-0000-4000-8000-000000000000",
            "metadata.generation": 3,
            "metadata.resourceVersion": "77",
            "metadata.creationTimestamp": "2026-11-22T10:00:00Z",
            "metadata.managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            "metadata.ownerReferences": [{"kind": "CronJob", "name": "a", "uid": "b"}],
            "status": {"observedGeneration": -1, "addedByALaterVersion": 1},
        }
    )
    run = parse_manifest(given)
    assert (run.metadata.uid, run.status.observed_generation) == ("1f2e3d4c-0000-4000-8000-000000000000", -1)


def test_dataset_name_defaults_to_the_runs(parse):
    assert parse().dataset_name == "cats"
    assert parse({"spec.dataset.name": "dogs"}).dataset_name == "dogs"


def test_settings_leave_out_what_the_server_adds(document):
    server = {"metadata.resourceVersion": "7", "metadata.managedFields": [{"manager": "m"}], "status": {}}
    run = parse_manifest(document(server))
    assert run.user_settings() == document()
    assert set(run.resolved_settings()["metadata"]) <= {"name", "labels", "annotations"}


def test_integer_of_ten_thousand_digits_is_refused_without_a_crash(problems):
    assert problems({"spec.lightlyConfig.seed": 10**10_000})["spec.lightlyConfig.seed"].endswith("of 33220 bits")


LENGTH = WORKER + "selected_sequence_length"
LEGACY_COUNT = WORKER + "stopping_condition.n_samples"
STRATEGIES = [{"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}]


@pytest.mark.parametrize(("count", "ways"), [(10, "use 8 or 12"), (3, "use 4"), (9, "use 8 or 12")])
def test_a_number_of_frames_that_is_no_number_of_sequences_names_the_nearest_that_are(problems, count, ways):
    (found,) = problems({LENGTH: 4, LEGACY_COUNT: count}).items()
    assert found[0] == LEGACY_COUNT
    assert found[1].endswith(ways)
    config = {"n_samples": count, "strategies": STRATEGIES}
    (found,) = problems({"spec.workerConfig": {"selected_sequence_length": 4}, "spec.selectionConfig": config}).items()
    assert found[0] == "spec.selectionConfig.n_samples"
    assert found[1].endswith(ways)


@pytest.mark.parametrize("amount", [4, 12, 0.1, "33%", -1])
def test_whole_sequences_shares_and_no_number_at_all_pass(problems, amount):
    assert problems({LENGTH: 4, LEGACY_COUNT: amount, WORKER + "stopping_condition.min_distance": 0.1}) == {}
    assert problems({LENGTH: 1, LEGACY_COUNT: 3}) == {}
