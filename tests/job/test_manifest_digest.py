"""--digest: the manifest that a Job was made for is the one that runs."""

import json
from hashlib import sha256

import pytest

from selection_api import RunSummary
from selection_job.__main__ import main


@pytest.fixture
def manifest_file(make_manifest, photos, tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(make_manifest(photos.folder, workerConfig={"sanity_check": True})))
    return path


def digest_of(path):
    return f"sha256:{sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_file_with_the_digest_is_taken(manifest_file, command):
    assert main([command, str(manifest_file), "--digest", digest_of(manifest_file)]) == 0


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("content", ["{}", "a: [1", ""], ids=["no run", "no yaml", "empty"])
def test_a_changed_file_ends_with_2_before_it_is_parsed_and_says_what_to_do(manifest_file, command, content, capfd):
    digest = digest_of(manifest_file)
    manifest_file.write_text(content)
    assert main([command, str(manifest_file), "--digest", digest]) == 2
    said = capfd.readouterr().err
    assert digest in said and "dataselection.io/manifest" in said
    assert "Delete the run and apply it again" in said


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:12", "md5:" + 32 * "0", "sha256:" + 64 * "G", "sha256:" + 64 * "0" + "\n"]
)
def test_a_malformed_digest_is_refused(manifest_file, digest, capfd):
    assert main(["check", str(manifest_file), "--digest", digest]) == 2
    assert "64 hexadecimal digits" in capfd.readouterr().err


def test_the_refusal_is_left_as_the_last_word(manifest_file, tmp_path):
    message = tmp_path / "termination-log"
    message.touch()
    assert main(["run", str(manifest_file), "--digest", "sha256:" + 64 * "0"], termination_message=message) == 2
    word = RunSummary.from_bytes(message.read_bytes())
    assert (word.exit_code, word.reason, word.stage) == (2, "InvalidManifest", "INITIALIZING")
    assert "Delete the run and apply it again" in word.message
