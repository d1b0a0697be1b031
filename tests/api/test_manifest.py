"""From a file to a run: what a file may hold, and messages that begin with the file."""

import json

import pytest
import yaml

from selection_job.errors import InvalidManifest
from selection_job.manifest.reading import LARGEST_BYTES, read_manifest


@pytest.fixture
def write(tmp_path):
    """Return a function (text or bytes) -> the path of a file with it."""

    def make(content):
        path = tmp_path / "run.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture
def text(document):
    """The smallest manifest as YAML."""
    return yaml.safe_dump(document())


def refusal(path):
    with pytest.raises(InvalidManifest) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_yaml_and_json_give_the_same_run(write, text, document):
    from_yaml = read_manifest(write(text))
    assert read_manifest(write(json.dumps(document()))) == from_yaml
    assert read_manifest(write(json.dumps(document(), indent=2))) == from_yaml


@pytest.mark.parametrize("around", ["---\n{}", "---\n---\n{}---\n", "# a comment\n{}...\n", "\ufeff{}"])
def test_empty_documents_comments_and_marks_are_left_out(write, text, around):
    assert read_manifest(write(around.format(text))).metadata.name == "cats"


def test_run_is_found_among_other_objects(write, text):
    assert read_manifest(write(f"kind: Secret\napiVersion: v1\n---\n{text}")).metadata.name == "cats"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: the file is empty; expected a SelectionRun"),
        ("# nothing\n---\n---\n", "line 1: the file is empty"),
        (
            "a: 1\n---\nb: 2\n",
            "line 1: expected exactly one SelectionRun in the file; 0 of 2 documents are SelectionRuns",
        ),
        ("- 1\n", "The manifest has 1 problem:\n  manifest: expected a mapping with apiVersion"),
        ("just text", "The manifest has 1 problem:\n  manifest: expected a mapping"),
        (b"a: 1\nb: \xff\n", "line 2: is not UTF-8 text"),
        (b"\xff\xfea\x00", "line 1: is not UTF-8 text"),
        (b"a: \x00", "line 1: control characters are not allowed"),
        ("a: 1\n\tb: 2\n", "line 2: invalid YAML: "),
        ('{"a": 1, "a": 2}', "line 1: the key 'a' is already set"),
        ('{"a": NaN}', "line 1: NaN is not a number"),
        ('{"a": "\\ud83d"}', "line 1: holds an escape of half a character"),
        ('{"a": ' + "9" * 5000 + "}", "The manifest has "),
        ('{"a": 1', "line 1: invalid YAML: did not find expected ',' or '}'"),
        ('{"a":' * 100_000, "line 1: nested too deeply"),
    ],
    ids=lambda part: repr(part)[:30],
)
def test_unreadable_content_is_refused_with_its_line(write, content, message):
    assert refusal(write(content)).startswith(message)


def test_two_runs_in_a_file_are_refused(write, text):
    assert "2 of 2 documents are SelectionRuns" in refusal(write(f"{text}---\n{text}"))


def test_large_file_is_refused_before_it_is_parsed(write, text):
    assert f"larger than {LARGEST_BYTES} bytes" in refusal(write(text + "#" * LARGEST_BYTES))


@pytest.mark.parametrize("name", ["missing.yaml", ""])
def test_file_that_cannot_be_read_is_refused(tmp_path, name):
    assert refusal(tmp_path / name).startswith("can't be read: ")


def test_json_escapes_of_emoji_are_read(write, document):
    given = document({"metadata.annotations": {"note": "😀"}})
    assert read_manifest(write(json.dumps(given))).metadata.annotations == {"note": "😀"}


def test_integral_floats_of_json_are_integers(write, document):
    given = json.dumps(document()).replace("0.1", "5.0")
    assert read_manifest(write(given)).spec.worker_config.stopping_condition.n_samples.count == 5


def test_every_problem_is_in_the_message(write, document):
    given = document({"spec.workerConfig.methd": "x", "metadata.name": "A", "spec.suspend": "no"})
    message = refusal(write(yaml.safe_dump(given)))
    assert message.splitlines()[0] == "The manifest has 3 problems:"


def test_what_this_version_cannot_do_is_refused(write, document):
    message = refusal(write(yaml.safe_dump(document({"spec.lightlyConfig.trainer.gpus": 2}))))
    assert message.endswith("spec.lightlyConfig.trainer.gpus: more than 1 is not supported by this version")


def test_share_of_one_hundredth_of_a_thousandth_is_a_number(write, text):
    run = read_manifest(write(text.replace("n_samples: 0.1", "n_samples: 1e-5")))
    assert run.spec.worker_config.stopping_condition.n_samples.share == 1e-5


def test_octal_and_yes_are_read_as_kubectl_does(write, text):
    run = read_manifest(write(f"{text}  suspend: yes\n  backoffLimit: 010\n"))
    assert (run.spec.suspend, run.spec.backoff_limit) == (True, 8)
