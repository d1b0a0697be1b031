"""Laws of the model: what is written reads back as the same; resolving changes nothing; order does not matter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selection_api import ManifestError, parse_manifest
from selection_api.schema import manifest_schema

SHARES = st.floats(0, 1, allow_subnormal=False)


def values_of(node):
    """Draw any value that the schema of a plain field allows."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("type") == "boolean":
        return st.booleans()
    if node.get("type") == "integer":
        step = node.get("multipleOf", 1)
        low, high = node.get("minimum", 0), min(node.get("maximum", 10**6), 10**6)
        return st.integers(-(-low // step), high // step).map(lambda n: n * step)
    if node.get("type") == "number":
        low = node.get("exclusiveMinimum", node.get("minimum", 0))
        smallest = low + 1e-6 if "exclusiveMinimum" in node else low
        return st.floats(smallest, node.get("maximum", 1e6), allow_subnormal=False)
    return None


def plain_fields(name):
    """Yield (path, values) of the fields of a config whose own schema says all there is to know."""

    def walk(node, path):
        for key, child in node["properties"].items():
            if "properties" in child:
                yield from walk(child, (*path, key))
            elif (values := values_of(child)) is not None:
                yield (*path, key), values

    yield from walk(manifest_schema()["properties"]["spec"]["properties"][name], (name,))


SKIPPED = {"min_distance", "use_datapool", "n_samples", "method"}
FIELDS = [
    (path, values) for name in ("workerConfig", "lightlyConfig") for path, values in plain_fields(name)
    if path[-1] not in SKIPPED and "encoder_config" not in path  # which stands beside an encoder alone
]  # fmt: skip


@st.composite
def settings_of_a_spec(draw):
    chosen = draw(st.lists(st.sampled_from(FIELDS), max_size=12, unique_by=lambda field: field[0]))
    return {".".join(("spec", *path)): draw(values) for path, values in chosen}


@settings(max_examples=150, deadline=None)
@given(changes=settings_of_a_spec())
def test_any_settings_within_their_schema_read_back_as_the_same_run(document, read_back, changes):
    run = parse_manifest(document(changes))
    assert parse_manifest(run.user_settings()) == run
    assert read_back(run) == run


@settings(max_examples=50, deadline=None)
@given(changes=settings_of_a_spec())
def test_user_settings_hold_what_was_set_and_nothing_else(document, changes):
    given = document(changes)
    assert parse_manifest(given).user_settings() == given


@pytest.mark.parametrize("written", [0.25, "25%", "100%", 500, -1])
def test_amount_reads_back(parse, read_back, written):
    path = "spec.workerConfig.stopping_condition"
    run = parse({path: {"n_samples": written, "min_distance": 0.5}})
    assert parse_manifest(run.user_settings()) == run
    assert read_back(run) == run


def test_resolved_settings_name_every_key_of_both_configs(parse):
    spec = parse({"spec.workerConfig.checkpoint": "a.ckpt"}).resolved_settings()["spec"]
    schema = manifest_schema()["properties"]["spec"]["properties"]
    without_default = {"trainer": {"weights_summary"}, "collate": {"kernel_size", "rr_degrees"}}
    without_default["checkpoint_callback"] = {"dirpath"}
    for name in ("workerConfig", "lightlyConfig"):
        follows_the_dataset = {"dump_dataset"} if name == "workerConfig" else set()
        assert set(spec[name]) | follows_the_dataset == set(schema[name]["properties"])
        for key, child in schema[name]["properties"].items():
            missing = set(child.get("properties", {})) - set(spec[name][key] if "properties" in child else ())
            assert missing == without_default.get(key, set())


def test_resolved_settings_beside_resources_without_gpu_read_back(parse, read_back):
    run = parse({"spec.resources": {}})
    assert read_back(run) == run


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=10,
)
PLACES = ["spec", "spec.workerConfig", "spec.lightlyConfig.collate", "spec.datasources.input", "spec.selectionConfig"]
PLACES += ["spec.workerConfig.stopping_condition.n_samples", "metadata", "spec.podTemplate", "spec.podTemplate.env"]
PLACES += ["spec.workerConfig.output_image_size", "spec.lightlyConfig.collate.rr_degrees", "spec.resources", "status"]


@settings(max_examples=400, deadline=None)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_value_anywhere_is_a_run_or_a_manifest_error_of_one_line_a_path(document, place, value):
    try:
        parse_manifest(document({place: value}))
    except ManifestError as error:
        lines = str(error).splitlines()
        assert len(lines) == 1 + len(error.problems)
