"""The ways in: make's targets say what they do, check holds what it claims, and CI lets no skipped test pass."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from selection_api import LightlyConfig, SelectionConfig, WorkerConfig
from selection_api.model import Model

ROOT = Path(__file__).parents[2]
LANES = ("tests.api_lane", "tests.chart", "tests.cluster", "tests.images", "tests.storage")
PASSED = "".join(f'<testcase classname="{lane}.test_x" name="a{n}"/>' for lane in LANES for n in range(200))
SKIPPED = '<testcase classname="t" name="b"><skipped type="pytest.skip" message="no GPU"/></testcase>'
XFAILED = '<testcase classname="t" name="c"><skipped type="pytest.xfail" message="issue 7"/></testcase>'

ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
"""Without what `make test` tells the makes that it starts."""


def call(*command, folder):
    """Run a command outside of any make."""
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.fixture
def run_ci(tmp_path):
    """Return a function that runs .ci/run over a Makefile whose `test` leaves the given results behind."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)

    def run(cases, status=0):
        (tmp_path / "results.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        recipe = f"cp results.xml $(patsubst --junitxml=%,%,$(PYTEST_ARGS))\n\t@echo 1 passed\n\t@exit {status}"
        (tmp_path / "Makefile").write_text(f"test:\n\t@{recipe}\n")
        return call("bash", ".ci/run", folder=tmp_path)

    return run


def test_ci_passes_where_every_test_passed_and_ends_with_the_test_runners_line(run_ci):
    done = run_ci(PASSED)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 passed"


@pytest.mark.parametrize(
    ("cases", "status", "word"),
    [
        (PASSED, 1, "Error 1"),
        (PASSED + SKIPPED, 0, "no GPU"),
        (PASSED + XFAILED, 0, "issue 7"),
        ("", 0, "No test ran"),
        *((PASSED.replace(f"{lane}.", "tests.job."), 0, f"{lane}: 0 test functions ran") for lane in LANES),
        (PASSED.replace('name="a', 'name="a['), 0, "tests.cluster: 1 test functions ran"),
    ],
    ids=[
        "a failure",
        "a skipped test",
        "an expected failure",
        "no test at all",
        *LANES,
        "one function with many parameters",
    ],
)
def test_ci_fails_and_says_why(run_ci, cases, status, word):
    done = run_ci(cases, status)
    assert done.returncode != 0
    assert word in done.stderr


def test_make_help_lists_each_target_with_what_it_does():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1].split()
    shown = call("make", "help", folder=ROOT).stdout
    assert re.findall(r"^make ([a-z-]+) +\S", shown, flags=re.MULTILINE) == phony
    assert len(phony) <= 12


GENERATED = ["crds/generate.py --check", "job_image/generate_report_schema.py --check"]


@pytest.mark.parametrize("tool", ["ruff check", "ruff format --check", "mypy", "lint-imports", *GENERATED])
def test_make_check_runs(tool):
    recipe = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    assert tool in recipe


def test_a_python_that_is_too_old_is_told_so(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 9); $2"\n')
    old.chmod(0o755)
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "pyproject.toml").touch()
    done = call("make", "setup", f"PYTHON={old}", folder=tmp_path)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr


def keys_of(model):
    """Every key of a model and of the models inside it."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        for part in re.findall(r"[A-Za-z_]\w*", str(field.annotation)):
            inner = MODELS.get(part)
            if inner is not None:
                yield from keys_of(inner)


def subclasses(base):
    """All models, by their name."""
    for model in base.__subclasses__():
        yield model.__name__, model
        yield from subclasses(model)


MODELS = dict(subclasses(Model))


@pytest.mark.parametrize("config", [WorkerConfig, LightlyConfig, SelectionConfig])
def test_every_key_is_documented(config):
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = {key for path in re.findall(r"`([\w.\[\]]+)`", text) for key in path.replace("[]", "").split(".")}
    keys = set(keys_of(config))
    assert len(keys) > 10
    assert keys - documented == set()
