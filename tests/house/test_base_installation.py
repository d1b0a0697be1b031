"""The base installation, without extras: `check` works in it, and every other command says which extra it needs."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
OURS = {"selection_api", "selection_job", "selection_operator"}

REFUSING = """
import json, sys

allowed = {*json.loads(sys.argv[1]), *sys.stdlib_module_names}
is_allowed = lambda name: name.partition(".")[0] in allowed or name.startswith("_sysconfigdata")

class Refusing:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not is_allowed(name):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing)
sys.argv = json.loads(sys.argv[2])
if sys.argv[0] == "selection-operator":
    import importlib.util

    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name: find_spec(name) if is_allowed(name) else None
    from selection_operator.__main__ import main
else:
    from selection_job.__main__ import main
sys.exit(main())
"""
"""A Python in which nothing but the base installation can be imported."""


def list_dependencies():
    """Names of all packages that come with the base installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found, ahead = set(), [Requirement(line).name for line in project["dependencies"]]
    while ahead:
        name = ahead.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needed = [Requirement(line) for line in requires(name) or ()]
            ahead += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def start():
    """Return a function (arguments) -> (exit code, standard output, standard error) in the base installation."""
    base = list_dependencies()
    modules = {
        module
        for module, names in packages_distributions().items()
        if {name.lower().replace("_", "-") for name in names} & base
    }

    def run(*arguments, given=""):
        command = [sys.executable, "-c", REFUSING, json.dumps([*OURS, *modules]), json.dumps(arguments)]
        done = subprocess.run(command, check=False, input=given, capture_output=True, text=True, cwd=ROOT)
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_base_installation_is_light():
    assert list_dependencies() <= {
        *("annotated-types", "google-re2", "pydantic", "pydantic-core", "pyyaml"),
        *("typing-extensions", "typing-inspection"),
    }


def test_check_works_in_the_base_installation(start):
    code, said, wrong = start("selection-job", "check", "-R", "examples", "-", given="kind: SelectionRun")
    assert code == 2 and "Traceback" not in wrong
    n_examples = len(list((ROOT / "examples").rglob("*.yaml")))
    assert said.count("is a valid SelectionRun") == n_examples
    assert "standard input: The manifest has 3 problems" in wrong  # apiVersion, metadata, spec


def test_check_compiles_an_expression_in_the_base_installation(start):
    text = (ROOT / "examples/metadata/cameras.yaml").read_text()
    assert "lightly_path_regex" in text
    assert start("selection-job", "check", "-", given=text)[0] == 0
    code, _, wrong = start("selection-job", "check", "-", given=text.replace("(?P<", "(?=)(?P<"))
    assert code == 2 and "RE2" in wrong


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(["selection-job", "run", "-"], "job"), (["selection-operator"], "operator")],
    ids=["run", "operator"],
)
def test_other_commands_name_their_extra_in_a_sentence(start, arguments, extra, tmp_path):
    text = (ROOT / "examples/simple.yaml").read_text()
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
    code, said, wrong = start(*arguments, given=text.replace("/tmp/selection-demo", str(tmp_path)))
    assert (code, said) == (1, "")
    assert wrong.count("\n") == 1 and f"pip install 'selection-operator[{extra}]'" in wrong


def test_a_run_over_a_folder_that_is_not_there_ends_before_anything_of_the_extra_is_imported(start, tmp_path):
    text = (ROOT / "examples/simple.yaml").read_text().replace("/tmp/selection-demo", str(tmp_path))
    code, said, wrong = start("selection-job", "run", "-", given=text)
    assert (code, said) == (4, "")
    assert "spec.datasources.input.resourcePath: The folder" in wrong and "Correct it" in wrong


def test_the_version_is_told_in_the_base_installation(start):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert start("selection-job", "--version") == (0, f"selection-job {version}\n", "")
