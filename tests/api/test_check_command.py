"""`selection-job check`: files, folders, standard input and many documents, other kinds passed over with a count."""

import io
import json
import os
import sys

import pytest
import yaml

from selection_job.__main__ import main

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
VALUES = {"replicas": 1}
CLAIMS = {f"spec.datasources.{name}.persistentVolumeClaim": {"claimName": "c"} for name in ("input", "lightly")}
"""Folders that nobody looks for on this machine."""

TEMPLATE = "{{- if .Values.x }}\nkind: ConfigMap\nname: SelectionRun\n{{- end }}\n"


@pytest.fixture
def write(tmp_path):
    """Return a function (name, documents or a text) -> the path of a file with them."""

    def make(name, *documents):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_text = isinstance(documents[0], str)
        path.write_text(documents[0] if is_text else yaml.safe_dump_all(documents), encoding="utf-8")
        return path

    return make


@pytest.fixture
def check(capsys):
    """Return a function (arguments) -> (exit code, standard output, standard error)."""

    def run(*arguments):
        code = main(["check", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def named(document):
    """Return a function (name) -> a valid manifest of that name."""
    return lambda name, **changes: document({"metadata.name": name, **CLAIMS, **changes})


def names_of(said):
    return [line.rpartition(" ")[2] for line in said.splitlines() if "is a valid SelectionRun" in line]


def test_one_file_has_one_line_and_a_word_on_access(check, write, named):
    path = write("run.yaml", named("cats"))
    code, said, wrong = check(path)
    assert (code, wrong) == (0, "")
    first, second = said.splitlines()
    assert first == f"{path} is a valid SelectionRun: cats"
    assert "sanity_check" in second


def test_many_documents_of_many_files_are_looked_at(check, write, named):
    one = write("one.yaml", named("a"), SECRET, named("b"), None)
    two = write("two.json", json.dumps(named("c")))
    code, said, wrong = check(one, two)
    assert (code, names_of(said), wrong) == (0, ["a", "b", "c"], "")
    assert "3 SelectionRuns are valid; passed over: 1 Secret." in said


def test_a_wrong_document_is_named_and_the_others_are_looked_at_all_the_same(check, write, named):
    path = write("runs.yaml", named("a"), named("b", **{"spec.suspnd": True}), named("c"))
    code, said, wrong = check(path)
    assert (code, names_of(said)) == (2, ["a", "c"])
    assert wrong.startswith(f"selection-job: {path}, document 2 (b): The manifest has 1 problem:\n  spec.suspnd: ")
    assert "2 SelectionRuns are valid, 1 is not." in said


def test_a_folder_is_looked_at_as_kubectl_does(check, write, named, tmp_path):
    write("a.yaml", named("a"))
    write("b.YML", named("b"))
    write("below/c.json", json.dumps(named("c")))
    write("below/.hidden/d.yaml", named("d"))
    write("notes.txt", "kind: SelectionRun")
    write("values.yaml", VALUES)
    write("templates/x.yaml", TEMPLATE)
    assert names_of(check(tmp_path)[1]) == ["a", "b"]
    code, said, wrong = check("-R", tmp_path)
    assert (code, names_of(said), wrong) == (0, ["a", "b", "c"], "")
    assert "passed over: 1 without a kind, 1 file that is not YAML." in said


def test_a_list_of_kubectl_is_opened(check, write, named):
    path = write("list.yaml", {"apiVersion": "v1", "kind": "List", "items": [named("a"), SECRET, named("b")]})
    assert names_of(check(path)[1]) == ["a", "b"]


def test_standard_input_is_read(check, named, monkeypatch):
    text = yaml.safe_dump_all([named("a"), named("b", apiVersion="v2")])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    code, said, wrong = check("-")
    assert (code, names_of(said)) == (2, ["a"])
    assert wrong.startswith("selection-job: standard input, document 2 (b): ")


@pytest.mark.parametrize(
    "changes",
    [{"kind": "SelectionRuns"}, {"kind": "selectionrun"}, {"apiVersion": "v1"}, {"kind": ...}, {"apiVersion": ...}],
    ids=str,
)
@pytest.mark.parametrize("is_named", [True, False])
def test_a_run_that_is_misspelt_is_not_passed_over(check, write, named, changes, is_named):
    path = write("folder/run.yaml", SECRET, named("a", **changes))
    code, said, wrong = check(path if is_named else path.parent)
    assert code == 2 and "The manifest has 1 problem" in wrong and names_of(said) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no SelectionRun: it is empty"),
        (yaml.safe_dump(SECRET), "there is no SelectionRun among what was passed over: 1 Secret"),
        (TEMPLATE, "invalid YAML"),
        ("- 1", "expected a mapping"),
        ("a: 1", "kind: is required"),
    ],
    ids=["empty", "other kind", "template", "list", "no kind"],
)
def test_a_named_file_without_a_run_is_no_success(check, write, text, words):
    code, said, wrong = check(write("x.yaml", text))
    assert code == 2 and words in wrong and said == ""


def test_a_run_in_a_file_that_is_no_yaml_is_not_passed_over(check, write, named, tmp_path):
    write("broken.yaml", yaml.safe_dump(named("a")) + "\tx: 1\n")
    write("large.yaml", yaml.safe_dump(named("b")) + "#" * 1024 * 1024)
    write("other.yaml", "x: [\n")
    code, _, wrong = check(tmp_path)
    assert code == 2 and "broken.yaml: line" in wrong and "large.yaml: is larger" in wrong and "other" not in wrong


@pytest.mark.parametrize("place", ["missing.yaml", "empty"])
def test_a_place_without_manifests_is_told_and_the_others_are_looked_at(check, write, named, tmp_path, place):
    (tmp_path / "empty/below").mkdir(parents=True)
    code, said, wrong = check(tmp_path / place, write("run.yaml", named("a")))
    assert (code, names_of(said)) == (2, ["a"])
    assert "can't be read: No such file" in wrong if place == "missing.yaml" else "-R" in wrong


def test_no_name_breaks_a_line_or_the_terminal(check, named, document, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9\n\x1b[31m.yaml")
    with path.open("w") as file:
        yaml.safe_dump_all([{**SECRET, "kind": "a\x1b\nb"}, document({"metadata.name": "x\x1b\ny"})], file)
    code, said, wrong = check(path)
    assert code == 2 and "\x1b" not in said + wrong
    assert len(wrong.splitlines()) == 2 and len(said.splitlines()) == 1


def test_a_wrong_expression_is_told_beside_other_problems(check, write, named):
    config = {"n_samples": 5, "lightly_path_regex": "(?P<a>x)(?=y)", "strategies": [{"input": {"type": "EMBEDDINGS"}}]}
    code, _, wrong = check(write("x.yaml", named("a", **{"spec.selectionConfig": config, "spec.workerConfig": {}})))
    assert code == 2 and "The manifest has 2 problems" in wrong
    assert "strategies[0].strategy: is required" in wrong and "lightly_path_regex: is no regular expression" in wrong


def test_a_digest_is_that_of_one_file(check, write, named, capsys):
    path = write("x.yaml", named("a"))
    assert check(path, "--digest", "sha256:" + 64 * "0")[0] == 2
    with pytest.raises(SystemExit) as end:
        check(path, path, "--digest", "sha256:" + 64 * "0")
    assert end.value.code == 2
