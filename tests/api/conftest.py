"""A small valid manifest to change, and the problems of a changed one."""

import copy
import json

import pytest

from selection_api import ManifestError, parse_manifest

SMALLEST = {
    "apiVersion": "dataselection.io/v1alpha1",
    "kind": "SelectionRun",
    "metadata": {"name": "cats"},
    "spec": {
        "datasources": {
            "input": {"type": "LOCAL", "resourcePath": "/data/input/"},
            "lightly": {"type": "LOCAL", "resourcePath": "/data/output/"},
        },
        "workerConfig": {"stopping_condition": {"n_samples": 0.1}},
    },
}


def set_at(document, path, value):
    """Set document[a][b]… for the path 'a.b'; ... removes the key."""
    *parents, last = path.split(".")
    for key in parents:
        document = document.setdefault(key, {})
    if value is ...:
        document.pop(last, None)
    else:
        document[last] = value


@pytest.fixture(scope="session")
def document():
    """Return a function (changes by path) -> a changed copy of the smallest manifest."""

    def make(changes=()):
        changed = copy.deepcopy(SMALLEST)
        for path, value in dict(changes).items():
            set_at(changed, path, copy.deepcopy(value))
        return changed

    return make


@pytest.fixture(scope="session")
def parse(document):
    """Return a function (changes by path) -> the parsed run."""
    return lambda changes=(): parse_manifest(document(changes))


@pytest.fixture(scope="session")
def read_back():
    """Return a function run -> what its resolved settings read back as, but for the name of a default encoder.

    Said aloud, that name changes nothing: resolved once more, it gives the same settings.
    """

    def parse_resolved(run):
        settings = run.resolved_settings()
        again = parse_manifest(json.loads(json.dumps(settings)))
        assert again.resolved_settings() == settings
        changes = {"encoder": run.spec.worker_config.encoder}
        worker = again.spec.worker_config.model_copy(update=changes)
        return again.model_copy(update={"spec": again.spec.model_copy(update={"worker_config": worker})})

    return parse_resolved


@pytest.fixture(scope="session")
def problems(parse):
    """Return a function (changes by path) -> {path: message}; empty for a valid manifest."""

    def collect(changes=()):
        try:
            parse(changes)
        except ManifestError as error:
            return {problem.path: problem.message for problem in error.problems}
        return {}

    return collect
