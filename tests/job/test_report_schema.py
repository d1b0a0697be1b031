"""report_schema.json is what the models make and no looser than the 1.3 that was published, but for added keys that may
be absent; reports fit both, without what was added."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError
from test_report_objects import make_objects, make_task
from test_report_sources import make_sources
from test_video_report import BROKEN, CORRUPT, LENGTHS
from video_inputs import make_video_input

from selection_job.report.measures import maps
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.models.report import Report, Settings
from selection_job.report.models.savings import Savings
from selection_job.report.models.selection import StrategyEffect
from selection_job.report.report_json import SourceFindings, build_report, read_schema, report_json_bytes
from selection_job.selection.gathered_sources import GatheredSources
from selection_job.selection.selection import StrategyRecord
from selection_job.selection.sequence_selection import SequenceSelection
from selection_job.selection.sequences import Sequences

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("generate_job_files", ROOT / "job_image/generate_report_schema.py")
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)

ADDED = {"keptOut", "nAsked", "distribution"}
"""Keys since 1.3."""

PUBLISHED = json.loads((ROOT / "tests/compat/report_schema_1_3.json").read_text(encoding="utf-8"))


def test_the_file_is_fresh():
    assert (ROOT / generate.SCHEMA_FILE).read_text(encoding="utf-8") == generate.render_schema(), "run: make generate"


def test_generate_writes_what_is_stale_and_check_only_says_so(tmp_path, monkeypatch):
    (tmp_path / generate.SCHEMA_FILE).parent.mkdir(parents=True)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert json.loads((tmp_path / generate.SCHEMA_FILE).read_text(encoding="utf-8")) == read_schema()


def resolve(schema, node):
    """Follow references, and take the one choice that is not null."""
    while "$ref" in node:
        target = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    return resolve(schema, choices[0]) if choices else node


def types_of(schema, node):
    if "anyOf" in node:
        return set().union(*(types_of(schema, choice) for choice in node["anyOf"]))
    found = resolve(schema, node)
    if "type" not in found:
        return {type(value).__name__ for value in found.get("enum", [found.get("const")])}
    return {found["type"]} if isinstance(found["type"], str) else set(found["type"])


BOUNDS = {"minimum": max, "minItems": max, "maxItems": min}
ALIKE = {"bool": "boolean", "str": "string", "int": "integer"}


def find_looser(made, published, new, old, path="report"):
    """Yield where the made schema takes what the published one refuses."""
    allowed = {ALIKE.get(name, name) for name in types_of(published, old)}
    allowed |= {"integer"} if "number" in allowed else set()
    new_types, new, old = types_of(made, new), resolve(made, new), resolve(published, old)
    keys, old_keys = new.get("properties", {}), old.get("properties", {})
    claims = {
        "types": new_types <= allowed,
        "bounds": all(word in new and least(new[word], old[word]) == new[word]
                      for word, least in BOUNDS.items() if word in old),
        "pattern": new.get("pattern") == old.get("pattern"),
        "choices": "enum" not in old or set(new.get("enum", ["?"])) <= set(old["enum"]),
        "constant": new.get("const") == old.get("const"),
        "required keys": set(old.get("required", [])) <= set(new.get("required", [])),
        "other keys": old.get("additionalProperties") is not False or new.get("additionalProperties") is False,
        "keys": set(keys) >= set(old_keys),
        "added keys may be absent": not (set(keys) - set(old_keys)) & set(new.get("required", [])),
    }  # fmt: skip
    yield from (f"{path}: {claim}" for claim, holds in claims.items() if not holds)
    children = [(keys[key], old_keys[key], key) for key in old_keys]
    children += [(new[word], old[word], "[]") for word in ("items", "additionalProperties") if _is_node(old, word)]
    for child, old_child, name in children:
        yield from find_looser(made, published, child, old_child, f"{path}.{name}")


def _is_node(node, word):
    return isinstance(node.get(word), dict)


def test_the_schema_takes_nothing_that_the_published_one_refuses():
    made = read_schema()
    assert list(find_looser(made, PUBLISHED, made, PUBLISHED)) == []


def of_images(make_input):
    given = make_input(20, 6, duplicates=3, corrupt={"b.jpg": "truncated: 3 bytes", "a.jpg": "empty"})
    return given, SourceFindings(make_sources(20))


def of_strategies(make_input):
    given, n, k = make_input(20, 6), 20, 6
    values, shares = np.linspace(0, 1, n), np.eye(2)[np.arange(n) % 2]
    rankings = (
        StrategyRecord("d", "DIVERSITY", 1 / 3),
        StrategyRecord("w", "WEIGHTS", -0.5, values=np.full(n, np.nan)),
        StrategyRecord("b", "BALANCE", 1.0, shares=shares, classes=("sun", "rain"), target=np.array([0.3, 0.7])),
    )
    limit = StrategyRecord("t", "THRESHOLD", None, values=values, passes=values >= 0.2)
    chosen = {"method": "strategies", "radii": np.full(k, np.nan, np.float32), "contributions": np.zeros((k, 3))}
    selection = replace(given["selection"], rankings=rankings, thresholds=(limit,), **chosen)
    return {**given, "selection": selection}, SourceFindings()


def of_objects(make_input):
    given, task = make_input(12, 4), make_task(12)
    return given, SourceFindings(GatheredSources(12, tasks={"street": task}), make_objects(task, given))


def of_videos(make_input):
    pool = ["old-1-mp4.png", "a/long-099-mp4.png"]
    options = {"corrupt": CORRUPT, "broken": BROKEN, "every_nth": 5, "duplicates": 3, "pool": pool}
    return make_video_input(make_input, LENGTHS, 20, **options), SourceFindings()


def of_sequences(make_input):
    given, level, rows = make_input(12, 6), make_input(4, 2), np.arange(12).reshape(4, 3)
    chosen = level["selection"]
    selection = replace(
        given["selection"],
        selected=rows[chosen.selected].reshape(-1),
        removed=np.sort(rows[chosen.removed].reshape(-1)),
        radii=np.full(6, np.nan, np.float32),
        sequences=rows,
    )
    nothing = np.empty(0, np.int64)
    found = SequenceSelection(Sequences(rows, nothing, nothing), level["embeddings"], chosen)
    return {**given, "selection": selection}, SourceFindings(sequences=found)


def of_given_embeddings(make_input):
    given = make_input(20, 6, duplicates=2)
    return {**given, "catalog": replace(given["catalog"], was_read=False)}, SourceFindings()


KINDS = {
    "sequenceInformation": of_sequences,
    "objectLevelInformation": of_objects,
    "videoInformation": of_videos,
    "images": of_images,
    "strategies": of_strategies,
    "given embeddings": of_given_embeddings,
}


@pytest.fixture
def build(make_report_input, monkeypatch):
    """Return the model of a report of one kind. UMAP takes seconds: its maps are those of PCA here."""
    monkeypatch.setattr(maps, "find_neighbourhoods", lambda *_: None)
    monkeypatch.setattr(maps, "project_umap", lambda near, start, **_: start)

    def make(kind):
        given, sources = KINDS[kind](make_report_input)
        given.pop("thumbnail")
        pool = make_candidates(given.pop("embeddings"), given["selection"], normalize=True, seed=given["facts"].seed)
        return build_report(**given, pool=pool, sources=sources)

    return make


def without_added(value):
    if isinstance(value, dict):
        return {key: without_added(own) for key, own in value.items() if key not in ADDED}
    return [without_added(own) for own in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_fits_both_schemas_and_is_read_back_as_it_was(build, kind):
    report = build(kind)
    document = json.loads(report_json_bytes(report.to_json_values()))
    for schema, told in ((PUBLISHED, without_added(document)), (read_schema(), document)):
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(told)) == []
    assert Report.model_validate(document) == report
    own = [key for key in KINDS if key.endswith("Information")]
    assert [key for key in own if key in document] == [kind] * (kind in own)


def test_a_key_without_meaning_is_absent_and_a_number_without_value_is_null():
    effect = StrategyEffect(
        name="d", type="DIVERSITY", strength=None, measure="m", input=1 / 3, selected=None, random=float("nan")
    )
    assert effect.to_json_values() == {
        "name": "d", "type": "DIVERSITY", "strength": None, "measure": "m", "input": 0.333333333, "selected": None,
        "random": None,
    }  # fmt: skip
    assert Savings(cost_savings=1.0).to_json_values() == {"costSavings": 1.0}


def test_settings_hold_any_json_value_but_no_infinity():
    settings = Settings(config={"a": [float("inf"), {"b": (1, "x")}]}, overrides={})
    assert settings.to_json_values() == {"config": {"a": [None, {"b": [1, "x"]}]}, "overrides": {}}


@pytest.mark.parametrize("wrong", [{"cost_savings": "much"}, {"cost_savings": 1.0, "surprise": 1}, {}])
def test_a_model_takes_no_other_type_and_no_other_key(wrong):
    with pytest.raises(ValidationError):
        Savings(**wrong)
