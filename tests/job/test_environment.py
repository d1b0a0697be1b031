"""The job sets no environment variable while threads read them: glibc's setenv moves them under their eyes."""

import os
import subprocess
import sys

import pytest
import yaml

WATCHED = """
import sys, threading

def tell(event, arguments):
    if event in ("os.putenv", "os.unsetenv"):
        others = {thread.name for thread in threading.enumerate()} - {"MainThread", "stopping"}
        print("WRITTEN", arguments[0].decode(), "beside" if others else "alone", sorted(others))

sys.addaudithook(tell)
from selection_job.__main__ import main

sys.exit(main(sys.argv[1:]))
"""
"""`stopping` waits for signals and reads no variable."""

EARLY = {"CUBLAS_WORKSPACE_CONFIG", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}


@pytest.mark.slow
def test_no_variable_is_set_or_taken_away_once_threads_are_at_work(make_manifest, photos, tmp_path):
    """By the job or by a library that it imports, from training to the UMAP figures."""
    worker = {"enable_training": True, "checkpoint": ""}
    trainer = {"max_epochs": 1, "gpus": 0}
    manifest = make_manifest(photos.folder, workerConfig=worker, lightlyConfig={"trainer": trainer})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(manifest))
    command = [sys.executable, "-c", WATCHED, "run", str(path)]
    fresh = {name: value for name, value in os.environ.items() if name not in EARLY}  # pytest's libraries set them too
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=fresh)
    written = [line.split() for line in ran.stdout.splitlines() if line.startswith("WRITTEN")]
    assert {name for _, name, *_ in written} >= EARLY
    assert [line for line in written if line[2] == "beside"] == []
