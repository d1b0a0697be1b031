"""A misspelt key, at any depth, is answered with the key that is meant, or with those that there are."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_api import ManifestError, parse_manifest
from selection_api.schema import manifest_schema
from selection_api.unknown_keys import ELSEWHERE, nearest


def full_example(node):
    """Return a value for a node of the schema, with every key of every mapping below it."""
    if "properties" in node:
        return {key: full_example(child) for key, child in node["properties"].items()}
    if node.get("type") == "array":
        return [full_example(node["items"])]
    return {} if node.get("type") == "object" else "x"


def mappings(value, path=()):
    """Yield the location of every mapping that has known keys."""
    if isinstance(value, dict) and value:
        yield path
        for key, child in value.items():
            yield from mappings(child, (*path, key))
    if isinstance(value, list):
        yield from mappings(value[0], (*path, 0))


def at(value, path):
    for part in path:
        value = value[part]
    return value


SPEC = full_example(manifest_schema()["properties"]["spec"])
KEYS = [(path, key) for path in mappings(SPEC, ()) for key in at(SPEC, path)]
LETTERS = st.characters(codec="ascii", categories=["Ll"])


def misspell(key, position, letter):
    return key[: position % len(key)] + letter + key[position % len(key) :]


def problems_with(path, wrong):
    """Parse a manifest whose only content on the way to path is the wrong key; return messages by path."""
    branch = {wrong: 1}
    for part in reversed(path):
        branch = [branch] if part == 0 else {part: branch}
    document = {"apiVersion": "dataselection.io/v1alpha1", "kind": "SelectionRun", "metadata": {"name": "a"}}
    with pytest.raises(ManifestError) as caught:
        parse_manifest({**document, "spec": branch})
    return {problem.path: problem.message for problem in caught.value.problems}


def render(path):
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KEYS), st.integers(0, 40), LETTERS)
def test_one_letter_too_many_is_answered_with_a_sibling_that_is_at_least_as_near(place, position, letter):
    path, key = place
    wrong = misspell(key, position, letter)
    siblings = list(at(SPEC, path))
    if wrong in siblings:
        return
    message = problems_with(path, wrong)[f"spec{render(path)}.{wrong}"]
    assert message.startswith(f"Option '{wrong}' does not exist! Did you mean '{nearest(wrong, siblings)}'?")


def test_every_key_with_its_last_letter_doubled_is_answered_with_the_key_itself():
    def answer(path, wrong):
        return problems_with(path, wrong).get(f"spec{render(path)}.{wrong}", "")

    assert len(KEYS) > 200
    assert [
        place for place in KEYS if f"Did you mean '{place[1]}'?" not in answer(place[0], place[1] + place[1][-1])
    ] == []


@pytest.mark.parametrize(
    ("path", "key", "right"),
    [
        ("spec.workerConfig", "stoppingCondition", "stopping_condition"),
        ("spec.workerConfig.stopping_condition", "nSamples", "n_samples"),
        ("spec.lightlyConfig.collate", "inputSize", "input_size"),
        ("spec.lightlyConfig.collate", "INPUT_SIZE", "input_size"),
        ("spec", "worker_config", "workerConfig"),
        ("spec.datasources.input", "resource_path", "resourcePath"),
        ("spec.datasources.input", "container-name", "containerName"),
    ],
)
def test_another_way_of_writing_is_answered_with_ours(problems, path, key, right):
    message = problems({f"{path}.{key}": {}})[f"{path}.{key}"]
    assert message == f"Option '{key}' does not exist! Did you mean '{right}'?"


def test_misspelt_key_is_refused_even_when_null(problems):
    assert "Did you mean 'method'?" in problems({"spec.workerConfig.methd": None})["spec.workerConfig.methd"]


def test_misspelt_key_at_the_root_is_refused(problems):
    assert "Did you mean 'metadata'?" in problems({"metdata": {}})["metdata"]


def test_key_in_the_wrong_place_is_shown_its_place(problems):
    message = problems({"spec.workerConfig.batch_size": 16})["spec.workerConfig.batch_size"]
    assert message.endswith("('batch_size' belongs to spec.lightlyConfig.loader)")


def test_place_is_the_nearest_of_several(problems):
    message = problems({"spec.workerConfig.n_samples": 16})["spec.workerConfig.n_samples"]
    assert message.endswith("('n_samples' belongs to spec.workerConfig.stopping_condition)")


@pytest.mark.parametrize("key", ELSEWHERE)
def test_key_of_the_worker_that_has_another_place_is_told_where(problems, key):
    message = problems({f"spec.workerConfig.{key}": 1})[f"spec.workerConfig.{key}"]
    assert message.startswith(f"Option '{key}' does not exist! ")
    assert message.endswith(f"({ELSEWHERE[key]})")


OF_A_POD = [
    "volumes",
    "volumeMounts",
    "containers",
    "initContainers",
    "hostNetwork",
    "nodeName",
    "securityContext",
    "dnsPolicy",
    "restartPolicy",
    "schedulerName",
    "command",
    "args",
    "hostAliases",
    "imagePullPolicy",
    "terminationGracePeriodSeconds",
    "topologySpreadConstraints",
]


@pytest.mark.parametrize("key", OF_A_POD)
def test_what_is_spelt_like_nothing_here_is_answered_with_all_that_is_taken(problems, key):
    message = problems({f"spec.podTemplate.{key}": 1})[f"spec.podTemplate.{key}"]
    taken = ", ".join(sorted(SPEC["podTemplate"]))
    assert message == f"Option '{key}' does not exist! Expected one of {taken}"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KEYS), st.text(LETTERS, min_size=1, max_size=20))
def test_a_suggestion_has_most_letters_in_common(place, wrong):
    """Counted by brute force: the longest common subsequence is at least two thirds of both words, nearly."""
    path, _ = place
    siblings = list(at(SPEC, path))
    message = problems_with(path, wrong).get(f"spec{render(path)}.{wrong}", "")
    if "Did you mean '" in message:
        near = message.partition("Did you mean '")[2].partition("'")[0]
        assert near in siblings
        assert 2 * common_letters(wrong, near.replace("_", "").lower()) >= 0.6 * len(wrong + near.replace("_", ""))
    elif wrong not in siblings and "belongs to" not in message and wrong not in ELSEWHERE:
        assert message.endswith(f"Expected one of {', '.join(sorted(siblings))}")


def common_letters(one, other):
    """Return the length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for letter in one:
        above = row
        row = [0]
        for i, its in enumerate(other):
            row.append(above[i] + 1 if letter == its else max(row[i], above[i + 1]))
    return row[-1]


def test_hostile_key_stays_on_one_short_line(problems):
    key = "<b>&\n写真'\x07" + "x" * 500
    found = problems({"spec.workerConfig": {key: 1, "stopping_condition": {"n_samples": 2}}})
    (path,) = found
    assert "\n" not in path + found[path]
    assert len(path) < 200


def test_document_is_not_changed_by_parsing(document):
    given = document({"spec.workerConfig.methd": None, "spec.suspend": None})
    before = copy.deepcopy(given)
    with pytest.raises(ManifestError):
        parse_manifest(given)
    assert given == before
