"""YAML as kubectl reads it.

SAME was compared, document by document, with the Go module sigs.k8s.io/yaml 1.6.0 (goyaml.v2, strict, to JSON; JSON's
integral floats as the API server stores them).
"""

import pytest

from selection_job.manifest.kubernetes_yaml import DEEPEST, MOST_ALIASED, YamlError, load_documents

SCALARS = {
    **{"1e-5": 1e-5, "1e5": 100000, "1E5": 100000, "1e+5": 100000, "1.5e3": 1500, "12e03": 12000, ".5e3": 500},
    **{"1.0": 1, "1.": 1, ".5": 0.5, "-.5": -0.5, "+.5": 0.5, "0.1": 0.1, "0.0": 0, "-0.0": 0, "+1": 1, "-0": 0},
    **{"0x1F": 31, "0X1F": 31, "-0x1F": -31, "+0x1F": 31, "0x_1": 1, "0x": "0x", "0x1p3": "0x1p3"},
    **{"010": 8, "-010": -8, "+010": 8, "0o10": 8, "-0o10": -8, "00": 0, "007": 7, "0o8": "0o8"},
    **{"08": 8, "09": 9, "019": 19, "0b101": 5, "-0b101": -5, "0B1": 1, "+0b1": 1, "0b2": "0b2"},
    **{"1_000": 1000, "1__0": 10, "1_": 1, "_1": "_1", "1_000.5": 1000.5, "1_e5": 100000, "1e_5": 100000, "._5": "._5"},
    **{"12:30": "12:30", "12:30:45": "12:30:45", "1:2.5": "1:2.5", "2001-01-01": "2001-01-01"},
    **{"2001-01-01T00:00:00Z": "2001-01-01T00:00:00Z", "2001-01-01 00:00:00": "2001-01-01 00:00:00"},
    **{"y": True, "Y": True, "yes": True, "Yes": True, "YES": True, "yEs": "yEs", "on": True, "On": True, "ON": True},
    **{"n": False, "N": False, "no": False, "No": False, "NO": False, "off": False, "Off": False, "OFF": False},
    **{"true": True, "True": True, "TRUE": True, "tRUE": "tRUE", "false": False, "False": False, "t": "t", "f": "f"},
    **{"~": None, "null": None, "Null": None, "NULL": None, "nULL": "nULL", "": None},
    **{"inf": "inf", "nan": "nan", "1e": "1e", "1e+": "1e+", "1e400": "1e400", "-1e400": "-1e400", "4e-400": 0},
    **{"1,000": "1,000", "100%": "100%", ".": ".", "..": "..", "+": "+", "--": "--", "<<": "<<", "=": "="},
    **{"9223372036854775807": 2**63 - 1, "9223372036854775808": float(2**63), "-9223372036854775809": -float(2**63)},
    **{"123456789012345678901234567890": 1.2345678901234568e29, '"10"': "10", "'1e-5'": "1e-5", '"yes"': "yes"},
    **{'""': "", "''": "", "!!str 10": "10", "!!str": "", "!!str null": "null", '!!int "10"': 10, "!!float 1": 1},
    **{"!!bool y": True, '!!null ""': None, "!foo bar": "bar", "!!binary aGVsbG8=": "hello", "! 10": "10"},
    **{"!!timestamp 2001-01-01": "2001-01-01", "!<tag:yaml.org,2002:int> 5": 5, "😀": "😀", '"\\x41"': "A"},
}
SAME = {
    "a:\tb": {"a": "b"},
    "a: |\n  text\n  more\n": {"a": "text\nmore\n"},
    "a: >-\n  x\n  y\n": {"a": "x y"},
    'a: "x\n  y"': {"a": "x y"},
    "a: x\n  y": {"a": "x y"},
    "a: {b: 1, }": {"a": {"b": 1}},
    "a: {b, c: 1}": {"a": {"b": None, "c": 1}},
    "a:\n- b\n- c": {"a": ["b", "c"]},
    "- a: 1\n- b": [{"a": 1}, "b"],
    "a: 1 # c\nb: x#y": {"a": 1, "b": "x#y"},
    "? a\n: b": {"a": "b"},
    "1: a": {"1": "a"},
    "y: 1\nno: 3": {"true": 1, "false": 3},
    "1.5: a\n1e3: b\n1e-7: c\n0.1: d": {"1.5": "a", "1000": "b", "1e-07": "c", "0.1": "d"},
    "0x1F: a\n0o17: 1": {"31": "a", "15": 1},
    "2001-01-01: x": {"2001-01-01": "x"},
    "a: &x 1\nb: *x": {"a": 1, "b": 1},
    "&a a: *a": {"a": "a"},
    "a: &a\n  b: 1\nc: &a 2\nd: *a": {"a": {"b": 1}, "c": 2, "d": 2},
    "x: &a {p: 1}\ny1: {<<: *a, s: 1}": {"x": {"p": 1}, "y1": {"p": 1, "s": 1}},
    "a: {<<: {b: 1}, <<: {c: 1}}": {"a": {"b": 1, "c": 1}},
    'a: {"<<": {b: 1}}': {"a": {"<<": {"b": 1}}},
    "a: !foo {b: 1}": {"a": {"b": 1}},
    "%YAML 1.1\n---\na: 010": {"a": 8},
    "---\na: 1\n...\n": {"a": 1},
}
REFUSED = {
    "a: .nan": "line 1: .nan is not a number",
    "a: 1\nb: -.inf": "line 2: -.inf is not a number",
    "a: !!float .nan": "line 1: .nan is not a number",
    "a: 1\na: 2": "line 2: the key 'a' is already set",
    "y: 1\ntrue: 2": "line 2: the key 'true' is already set",
    "a:\n  b: 1\n  c: 2\n  b: 3": "line 4: the key 'b' is already set",
    "x: &a {p: 1}\ny1: {p: 3, <<: *a}": "line 2: << would overwrite the key 'p'",
    "<<: 3": "line 1: << needs a mapping",
    "null: 1": "line 1: a key must be a text; found null",
    "? [a]\n: 1": "line 1: a key must be a text; found a list or a mapping",
    "a: &x [*x]": "line 1: the anchor 'x' contains itself",
    "a: *b": "line 1: there is no anchor 'b' above",
    "a: !!int abc": "line 1: 'abc' is not a !!int",
    "a: !!int 1.0": "line 1: '1.0' is not a !!int",
    "a: !!null x": "line 1: 'x' is not a !!null",
    'a: !!bool ""': "line 1: '' is not a !!bool",
    'a: !!binary "@@"': "line 1: !!binary holds no base64",
    "a:\n\tb: 1": "line 2: invalid YAML: found character that cannot start any token (a tab? indent with spaces)",
    "a: [1, 2": "line 1: invalid YAML: did not find expected ',' or ']'",
    "a: b: c": "line 1: invalid YAML: mapping values are not allowed in this context",
    "a: @x": "line 1: invalid YAML: found character that cannot start any token",
    "a: - b": "line 1: invalid YAML: block sequence entries are not allowed in this context",
    'a: "x" y': "line 1: invalid YAML: did not find expected key",
    'a: "\\ud83d"': "line 1: invalid YAML: found invalid Unicode character escape code",
    "%YAML 1.2\n---\na: 1": "line 1: only YAML 1.1 is read",
    "a: 1\nb: \x07": "line 2: control characters are not allowed",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=repr)
def test_scalar_means_what_it_means_to_kubectl(text, value):
    (document,) = load_documents(f"a: {text}")
    assert document == {"a": value}
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize(("text", "value"), SAME.items(), ids=repr)
def test_document_reads_as_kubectl_reads_it(text, value):
    assert load_documents(text) == [value]


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=repr)
def test_document_is_refused_with_its_line(text, message):
    with pytest.raises(YamlError) as caught:
        load_documents(text)
    assert str(caught.value).startswith(message)


def test_keys_beside_a_merge_win_and_earlier_sources_win():
    """YAML's own rule; goyaml.v2 agrees unless it is strict."""
    text = "a: &a {p: 1, q: 1}\nb: &b {q: 2, r: 2}\nc: {<<: [*a, *b], p: 9}"
    assert load_documents(text)[0]["c"] == {"p": 9, "q": 1, "r": 2}


def test_documents_are_separate():
    assert load_documents("a: &x 1\n---\n---\nb: 2\n") == [{"a": 1}, None, {"b": 2}]
    with pytest.raises(YamlError, match="line 3: there is no anchor 'x' above"):
        load_documents("a: &x 1\n---\nb: *x")


def test_alias_bomb_is_refused():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    with pytest.raises(YamlError, match=f"aliases repeat more than {MOST_ALIASED} values"):
        load_documents(bomb)


def test_many_small_aliases_are_fine():
    text = "a: &a {b: 1}\n" + "".join(f"k{i}: *a\n" for i in range(1000))
    assert len(load_documents(text)[0]) == 1001


@pytest.mark.parametrize("text", ["[" * 500 + "]" * 500, "{a: " * 500 + "}" * 500, "- " * 500 + "x", "[" * 50_000])
def test_deep_nesting_is_refused_without_a_crash(text):
    with pytest.raises(YamlError, match=f"nested more than {DEEPEST} levels deep|too deep|exceeded"):
        load_documents(text)


def test_empty_text_has_no_documents():
    assert load_documents("") == []
    assert load_documents("# only a comment\n") == []
