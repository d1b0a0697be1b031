"""Whatever is wrong with a manifest is told in one go: fields, the rules between the others, and what is not built."""

import itertools
import time

import pytest

from selection_api import ManifestError, check_supported, parse_manifest
from selection_api.problems import MOST_TOLD
from selection_job.manifest.reading import validate

WORKER, LIGHTLY, SELECTION = "spec.workerConfig.", "spec.lightlyConfig.", "spec.selectionConfig."
DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
SIMILARITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "SIMILARITY"}}
MISSPELT = {"input": {"type": "EMBEDINGS"}, "strategy": {"type": "DIVERSITY"}}
NO_TYPE = {"input": {"type": "EMBEDDINGS"}, "strategy": {"strength": 1.0}}

FIELDS = {
    "name": {"metadata.name": "Cats!"},
    "version": {"apiVersion": "v1"},
    "status": {"status": 3},
    "no input": {"spec.datasources.input": ...},
    "no lightly": {"spec.datasources.lightly": ...},
    "type": {"spec.datasources.input.type": "FTP"},
    "path": {"spec.datasources.input.resourcePath": 5},
    "unknown key": {WORKER + "methd": "coreset"},
    "number": {LIGHTLY + "trainer.max_epochs": "10"},
    "section": {LIGHTLY + "loader": "fast"},
    "list": {WORKER + "exports": ["COCO", "YOLO"]},
    "environment": {"spec.podTemplate.env": [{"value": "1"}]},
}
"""One thing that is wrong in itself."""

BETWEEN = {
    "training": {WORKER + "enable_training": True, WORKER + "use_datapool": True},
    "checkpoints": {WORKER + "checkpoint": "a.ckpt", LIGHTLY + "checkpoint": "b.ckpt"},
    "frames": {"spec.dataset": {"type": "IMAGES", "targetFps": 2}},
    "read-only": {"spec.datasources.lightly.persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
    "not built": {LIGHTLY + "trainer.gpus": 2},
    "not built of videos": {"spec.dataset": {"type": "VIDEOS"}, WORKER + "pretagging": True},
}
"""One thing that is wrong between fields which are right in themselves."""

STRATEGIES = {
    "misspelt": MISSPELT,
    "no type": NO_TYPE,
    "no mapping": "DIVERSITY",
    "no input": {"strategy": {"type": "DIVERSITY"}},
    "unknown key": {**DIVERSITY, "strength": 2},
}


def told(document, changes):
    """Return the paths of the problems; those of a first try, as a user sees them."""
    try:
        check_supported(parse_manifest(document(changes)))
    except ManifestError as error:
        return {problem.path for problem in error.problems}
    return set()


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("field", FIELDS)
def test_a_problem_between_fields_is_told_beside_one_of_a_field(document, field, between):
    of_field, of_both = told(document, FIELDS[field]), told(document, BETWEEN[between])
    both = {**FIELDS[field], **BETWEEN[between]}
    if between == "read-only" and field == "no lightly":
        return  # without the datasource there is no claim
    assert len(of_field) == len(of_both) == 1
    assert told(document, both) == of_field | of_both


def test_many_fields_and_rules_are_told_together(document):
    fields = {key: FIELDS[key] for key in ("name", "no input", "unknown key", "section", "list")}
    changes = dict(itertools.chain.from_iterable(part.items() for part in (*fields.values(), *BETWEEN.values())))
    expected = set().union(*(told(document, part) for part in (*fields.values(), BETWEEN["training"])))
    assert expected < told(document, changes)


@pytest.mark.parametrize("wrong", STRATEGIES)
def test_a_wrong_strategy_hides_no_problem_of_another(document, wrong):
    def found(*strategies):
        return told(
            document, {"spec.workerConfig": {}, "spec.selectionConfig": {"n_samples": 5, "strategies": [*strategies]}}
        )

    assert found(DIVERSITY, SIMILARITY) == {"spec.selectionConfig.strategies[1].input"}
    alone = found(STRATEGIES[wrong], DIVERSITY)
    assert len(alone) == 1 and next(iter(alone)).startswith("spec.selectionConfig.strategies[0]")
    assert found(STRATEGIES[wrong], SIMILARITY) == alone | {"spec.selectionConfig.strategies[1].input"}


@pytest.mark.parametrize("wrong", STRATEGIES)
@pytest.mark.parametrize("task", [{}, {"task": "cars"}])
def test_a_wrong_strategy_has_no_consequences(document, wrong, task):
    strategy = STRATEGIES[wrong]
    if isinstance(strategy, dict) and "input" in strategy:
        strategy = {**strategy, "input": {**strategy["input"], **task}}
    changes = {"spec.workerConfig": {}, "spec.dataset": {"type": "VIDEOS"}}
    changes["spec.selectionConfig"] = {"n_samples": -1, "strategies": [strategy]}
    assert len(told(document, changes)) == 1


MANY = {WORKER + "unknown_" + str(i): i for i in range(10_000)}


def test_of_ten_thousand_wrong_fields_the_first_are_told_and_all_are_counted_in_two_seconds(document):
    started = time.process_time()
    with pytest.raises(ManifestError) as caught:
        validate(document({**MANY, LIGHTLY + "trainer.gpus": "all"}))
    assert time.process_time() - started < 2
    head, *lines = str(caught.value).splitlines()
    assert head == f"The manifest has 10,001 problems; the first {MOST_TOLD}:"
    assert len(lines) == MOST_TOLD
    assert all(line.startswith("  spec.") for line in lines)
    assert f"  {WORKER}unknown_3: Option 'unknown_3' does not exist! Expected one of " in lines[3] + lines[4]


@pytest.mark.parametrize("n", [MOST_TOLD, MOST_TOLD + 1])
def test_as_many_problems_as_are_told_are_told_without_a_count_of_more(document, n):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(document(dict(itertools.islice(MANY.items(), n))))
    head, *lines = str(caught.value).splitlines()
    assert head == f"The manifest has {n} problems" + (":" if n == MOST_TOLD else f"; the first {MOST_TOLD}:")
    assert len(lines) == MOST_TOLD


def test_rules_broken_by_more_fields_than_are_told_are_counted_with_them(document):
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    said_twice = [{"name": f"A{i}", "value": "1", "valueFrom": source} for i in range(MOST_TOLD)]
    changes = {"spec.podTemplate.env": said_twice, WORKER + "methd": "coreset"}
    with pytest.raises(ManifestError) as caught:
        parse_manifest(document(changes))
    assert len(caught.value.problems) == MOST_TOLD + 1
    assert str(caught.value).startswith(f"The manifest has {MOST_TOLD + 1} problems; the first {MOST_TOLD}:\n")
