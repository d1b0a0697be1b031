"""METADATA in selectionConfig: computed keys, and the regular expression over file names."""

import pytest

from selection_api import accepted_without_effect, check_supported, unsupported_options
from selection_api.metadata_rules import COMPUTED_KEYS

SELECTION = "spec.selectionConfig"
WEIGHTS, BALANCE = {"type": "WEIGHTS"}, {"type": "BALANCE", "distribution": "UNIFORM"}


def select(key, strategy=WEIGHTS, **more):
    entry = {"input": {"type": "METADATA", "key": key}, "strategy": strategy}
    return {"spec.workerConfig": ..., SELECTION: {"n_samples": 10, "strategies": [entry], **more}}


@pytest.mark.parametrize("key", [*COMPUTED_KEYS, "weather.temperature", "lightly", "lightlyness.x"])
def test_computed_keys_and_ones_own_are_supported(parse, key):
    run = parse(select(key))
    assert check_supported(run) is run


KEY = f"{SELECTION}.strategies[0].input.key"
WRONG = [
    (select("lightly.sharpnes"), KEY, "did you mean lightly.sharpness?"),
    (select("lightly.SNR"), KEY, "is not computed; "),
    (select("lightly.zzz"), KEY, "there are lightly.contrast, "),
    (select("lightly.width", BALANCE), KEY, "is a number, and BALANCE needs categories"),
    (select("a", lightly_path_regex="(a)"), f"{SELECTION}.lightly_path_regex", "has no named group"),
]


@pytest.mark.parametrize(("changes", "path", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_can_not_work_is_named(problems, changes, path, message):
    found = problems(changes)
    assert list(found) == [path]
    assert message in found[path]


@pytest.mark.parametrize("expression", ["(?P<a>x)", "(?<a>x)", "^(?P<day>[0-9]+)_(?P<a>.)"])
def test_an_expression_with_a_named_group_is_supported(parse, expression):
    run = parse(select("a", lightly_path_regex=expression))
    assert check_supported(run) is run
    assert accepted_without_effect(run.spec) == []


def test_an_expression_whose_groups_nobody_names_has_no_effect(parse):
    notes = accepted_without_effect(parse(select("b", lightly_path_regex="(?P<a>x)(?P<c>y)")).spec)
    assert notes == ["spec.selectionConfig.lightly_path_regex has no effect: no strategy names a, c"]


def test_beside_given_embeddings_only_what_needs_no_pixels_is_supported(parse):
    def find(key):
        spec = parse({**select(key), "spec.workerConfig": {"embeddings": "a.csv"}}).spec
        return [problem.path for problem in unsupported_options(spec)]

    refused = [key for key in COMPUTED_KEYS if find(key) == [KEY]]
    assert sorted({*COMPUTED_KEYS} - {*refused}) == ["lightly.sizeInBytes"]
    assert find("weather") == []


@pytest.mark.parametrize(("key", "n_notes"), [("lightly.snr", 1), ("lightly.width", 0), ("weather", 0)])
def test_the_fast_decoder_has_no_effect_where_pixels_are_measured(parse, key, n_notes):
    notes = accepted_without_effect(parse({**select(key), "spec.workerConfig": {"decoder": "fast"}}).spec)
    assert len(notes) == n_notes
    assert all("spec.workerConfig.decoder has no effect: lightly.snr" in note for note in notes)
