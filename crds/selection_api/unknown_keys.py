"""What to say about a key that does not exist: one that is spelt nearly so, where it belongs, or what there is."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache

from selection_api.problems import Location, quote, render_path
from selection_api.schema import Node, known_keys, manifest_schema

LEAST_LIKENESS = 0.65
"""Twice the letters in common, in order, over all letters: one letter too many in a word of one is 0.67."""

ELSEWHERE = {
    "token": "no account and no token are needed",
    "worker": "the operator starts the Job; there is no worker to register",
    "input_dir": "spec.datasources.input says where the images are",
    "output_dir": "spec.datasources.lightly says where results go",
    "label_dir": "it belongs to lightly-crop",
    "label_names_file": "it belongs to lightly-crop",
    "crop_padding": "it belongs to lightly-crop; workerConfig.object_level.padding is for object crops",
    "checkpoint_run_id": "workerConfig.checkpoint takes an earlier run's: .lightly/runs/RUN/lightly_epoch_N.ckpt",
    "bypass_verify": "access to both datasources is always tried before any work",
    "datapool": "the datapool is named by spec.dataset.name and used with workerConfig.use_datapool",
    "upload_report": "the report is always written to the lightly datasource",
    "upload_dataset": "results are always written to the lightly datasource",
    "shutdown_when_job_finished": "a Job always ends with its run",
    "run_directory": "the run's folder is .lightly/runs/NAME-UID/",
    "memory_requirement_in_GB": "spec.resources.limits gives the job its memory",
}
"""Keys of the worker and of lightly that have another place here, and which."""


def explain_unknown_key(location: Location) -> str:
    """Return the message for an unknown key at a location."""
    key, parent = str(location[-1]), location[:-1]
    siblings = known_keys(parent)
    near = nearest(key, siblings)
    message = f"Option {quote(key)} does not exist!"
    if near is not None:
        message += f" Did you mean {quote(near)}?"
    if key in ELSEWHERE:
        return f"{message} ({ELSEWHERE[key]})"
    homes = sorted(_homes().get(key, ()), key=lambda home: -_shared(home, parent))
    if homes:
        return f"{message} ({quote(key)} belongs to {render_path(homes[0][:-1])})"
    return f"{message} Expected one of {', '.join(sorted(siblings))}" if siblings and near is None else message


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that is spelt most like the word, whatever case and underscores; None when none is near."""
    spelt = {_plain(candidate): candidate for candidate in candidates}
    found = get_close_matches(_plain(word), spelt, n=1, cutoff=LEAST_LIKENESS)
    return spelt[found[0]] if found else None


def _shared(one: Location, other: Location) -> int:
    """Count the parts that two locations have in common from the root on."""
    return sum(1 for i in range(min(len(one), len(other))) if one[: i + 1] == other[: i + 1])


def _plain(word: str) -> str:
    return word[:80].replace("_", "").replace("-", "").lower()


@cache
def _homes() -> dict[str, list[Location]]:
    homes: dict[str, list[Location]] = {}
    _collect(manifest_schema()["properties"]["spec"], ("spec",), homes)
    return homes


def _collect(node: Node, here: Sequence[str], homes: dict[str, list[Location]]) -> None:
    for key, child in node.get("properties", {}).items():
        homes.setdefault(key, []).append((*here, key))
        _collect(child, (*here, key), homes)
