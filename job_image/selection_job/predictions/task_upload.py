"""Uploading a task's predictions to .lightly/predictions/ of the lightly datasource, where any run can read them."""

import json
from functools import partial
from typing import Any

import numpy as np

from selection_job.errors import ObjectMissing, ObjectRefused, StorageUnavailable, TryAgain, UnusableData
from selection_job.manifest.noun import IMAGE
from selection_job.predictions.task_predictions import SHOWN, TaskPredictions
from selection_job.predictions.task_schema import SCHEMA_FILE, TASKS_FILE, TaskSchema, task_folder
from selection_job.process.parallel_calls import call_in_parallel
from selection_job.process.progress import Progress
from selection_job.stores.lease import Lease, hold
from selection_job.stores.sidecar_files import stem_of
from selection_job.stores.store import Store

_COORDINATES, _MADE_BY = "coordinates", "made_by"
_LOCK = ".lightly/locks/prediction_tasks.json"
_LEASE_S = 10.0
_ATTEMPTS = 20
_PARALLEL = 32


def check_folder(store: Store, schema: TaskSchema, *, option: str) -> None:
    """Raise UnusableData where the task's folder holds predictions of something else, before anything is written.

    option  of workerConfig that asks for the upload
    """
    _read_tasks(store, option)
    try:
        found = json.loads(store.read(f"{schema.folder}{SCHEMA_FILE}"))
    except ObjectMissing:
        return
    except (ValueError, RecursionError):
        found = None
    own = _describe(schema)
    if found == own:
        return
    writes = f"spec.workerConfig.{option} writes to {store.url}{schema.folder}, and "
    if found == {key: value for key, value in own.items() if key != _COORDINATES}:
        raise UnusableData(
            f"{writes}what lies there was written by an earlier version, whose boxes are of the pictures as they are "
            f"stored; this one's are of the pictures as they are shown, turned by EXIF. Move that folder away; or, "
            f'where no picture has an EXIF orientation, add "{_COORDINATES}": "{SHOWN}" to its {SCHEMA_FILE}.'
        )
    raise UnusableData(
        f"{writes}the {SCHEMA_FILE} there is of another task: predictions of both would be mixed. Move that folder "
        f"away, or set {option} to false."
    )


def upload_task(
    store: Store, schema: TaskSchema, task: TaskPredictions, names: list[str], *, option: str, progress: Progress
) -> list[str]:
    """Write schema.json, a file for each image with predictions, and then the task's name into tasks.json.

    names   of the n images, with which the task is aligned
    option  of workerConfig that asks for the upload
    Returns notes on what could not be written. Raises StorageRefused, StorageUnavailable and UnusableData.
    """
    rows, n_left_out = _rows_to_write(task, names)
    store.write(f"{schema.folder}{SCHEMA_FILE}", _encode(_describe(schema)))
    calls = (partial(_write_file, store, schema, task, names[row], row) for row in rows)
    notes: list[str] = []
    with progress.bar("Uploading predictions", len(rows), "files") as bar:
        for note in call_in_parallel(calls, min(max(store.parallel_reads, 1), _PARALLEL)):
            notes.extend(note)
            bar.advance()
    _add_task(store, task.name, option)
    if n_left_out:
        notes.append(
            f"{option}: {IMAGE.count_with(n_left_out, 'have')} the names of others but for the extension, or "
            f"that of {SCHEMA_FILE}; a file in {schema.folder} is about one image, so theirs are not written."
        )
    return notes


def _rows_to_write(task: TaskPredictions, names: list[str]) -> tuple[list[int], int]:
    """Return the images that get a file, and how many go without because another file has that name."""
    row_of: dict[str, int] = {}
    n_left_out = 0
    for row in np.flatnonzero(task.has_file).tolist():
        stem = stem_of(names[row])
        if f"{stem}.json" == SCHEMA_FILE or row_of.setdefault(stem, row) != row:
            n_left_out += 1
    return list(row_of.values()), n_left_out


def _write_file(store: Store, schema: TaskSchema, task: TaskPredictions, name: str, row: int) -> list[str]:
    """Write one image's predictions; return notes on what failed."""
    content = _encode({"file_name": name, "predictions": _list_objects(task, row)})
    key = f"{schema.folder}{stem_of(name)}.json"
    try:
        store.write(key, content)
    except ObjectRefused as error:
        return [f"The predictions of {name} could not be written to {key}: {error}"]
    return []


def _list_objects(task: TaskPredictions, row: int) -> list[dict[str, Any]]:
    first, end = np.searchsorted(task.owners, [row, row + 1])
    return [_describe_object(task, i) for i in range(first, end)]


def _describe_object(task: TaskPredictions, i: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "category_id": task.categories[task.category_index[i]].id,
        "score": _shortest(task.scores[i]),
    }
    if task.boxes_px is not None:
        found["bbox"] = [_shortest(number) for number in task.boxes_px[i]]
    if task.probabilities is not None:
        found["probabilities"] = [_shortest(number) for number in task.probabilities[i]]
    return found


def _shortest(number: np.float32) -> float:
    """Return the float of the fewest digits that reads as this float32."""
    return float(str(number))


def _describe(schema: TaskSchema) -> dict[str, Any]:
    categories = [{"id": category.id, "name": category.name} for category in schema.categories]
    described = {"task_type": schema.kind, "categories": categories, _COORDINATES: schema.coordinates}
    return {**described, _MADE_BY: schema.made_by} if schema.made_by else described


def find_maker(store: Store, task: str) -> str | None:
    """Return what wrote the task of this name into .lightly/predictions/: '' where that does not say, None for no task.

    Raises StorageRefused and StorageUnavailable.
    """
    try:
        tasks = json.loads(store.read(TASKS_FILE))
    except (ObjectMissing, ValueError, RecursionError):
        return None
    if not isinstance(tasks, list) or task not in tasks:
        return None
    try:
        found = json.loads(store.read(f"{task_folder(task)}{SCHEMA_FILE}"))
    except (ObjectMissing, ValueError, RecursionError):
        return ""
    maker = found.get(_MADE_BY, "") if isinstance(found, dict) else ""
    return maker if isinstance(maker, str) else ""


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _add_task(store: Store, name: str, option: str) -> None:
    """List the task in tasks.json and leave the others there; one run at a time changes the file."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with hold(Lease(store, _LOCK, lease_s=_LEASE_S)):
                tasks = _read_tasks(store, option)
                if name not in tasks:
                    store.write(TASKS_FILE, _encode([*tasks, name]))
                return
        except StorageUnavailable:
            raise
        except TryAgain:  # others were faster; each takes a moment only
            if not attempts_left:
                raise


def _read_tasks(store: Store, option: str) -> list[Any]:
    """Return what tasks.json lists. Raises UnusableData where it is no list, and so would be lost."""
    try:
        tasks = json.loads(store.read(TASKS_FILE))
    except ObjectMissing:
        return []
    except (ValueError, RecursionError):
        tasks = None
    if not isinstance(tasks, list):
        raise UnusableData(
            f'{store.url}{TASKS_FILE} is not a list of task names such as ["my-task"], and {option} would overwrite '
            f"it. Correct the file, or set spec.workerConfig.{option} to false."
        )
    return tasks
