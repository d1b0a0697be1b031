"""tasks.json and schema.json: which prediction tasks there are, their kinds and their categories."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from selection_job.catalog.image_names import quote_some
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.formats.json_reading import InvalidFile
from selection_job.predictions.json_decoding import decode_json
from selection_job.predictions.task_predictions import COORDINATES, SHOWN, STORED, Category
from selection_job.stores.store import Store

PREDICTIONS_FOLDER = ".lightly/predictions/"
TASKS_FILE = f"{PREDICTIONS_FOLDER}tasks.json"
SCHEMA_FILE = "schema.json"

KINDS = (
    "classification",
    "object-detection",
    "semantic-segmentation",
    "instance-segmentation",
    "keypoint-detection",
)
MOST_CATEGORIES = 10_000
LARGEST_ID = 2**31 - 1

T = TypeVar("T")


class _Category(Struct):
    id: Annotated[int, Meta(ge=0, le=LARGEST_ID)]
    name: Annotated[str, Meta(min_length=1, max_length=253)]
    keypoint_names: list[str] | None = None
    keypoint_skeleton: list[list[int]] | None = None


class _Schema(Struct):
    task_type: str
    categories: Annotated[list[_Category], Meta(min_length=1, max_length=MOST_CATEGORIES)]
    coordinates: str = SHOWN


_DECODE_SCHEMA = msgspec.json.Decoder(_Schema)
_DECODE_TASKS = msgspec.json.Decoder(list[Annotated[str, Meta(max_length=1024)]])


@dataclass(frozen=True)
class TaskSchema:
    """What a task's predictions look like."""

    task: str
    kind: str
    """One of KINDS."""
    categories: tuple[Category, ...]
    """By ascending id, which is the order of probabilities."""
    n_keypoints: tuple[int | None, ...]
    """Of each category; None where the schema does not name them."""
    keypoint_names: tuple[tuple[str, ...] | None, ...] = ()
    """Of each category, () of all where nobody asks for them."""
    keypoint_skeletons: tuple[tuple[tuple[int, ...], ...], ...] = ()
    """Of each category, pairs of places of its keypoints, from 0."""
    coordinates: str = SHOWN
    """One of COORDINATES."""
    made_by: str = ""
    """What wrote the task, where its own schema says so: other words mean predictions of something else."""

    @cached_property
    def index_of_id(self) -> dict[int, int]:
        """The place in categories of each id."""
        return {category.id: place for place, category in enumerate(self.categories)}

    @property
    def folder(self) -> str:
        """Where the task's files lie in the lightly datasource, with a trailing '/'."""
        return task_folder(self.task)


def task_folder(task: str) -> str:
    """Return the key of a task's folder in the lightly datasource, with a trailing '/'."""
    return f"{PREDICTIONS_FOLDER}{task}/"


def load_schemas(store: Store, tasks: Sequence[str]) -> list[TaskSchema]:
    """Return the schema of each task.

    Raises UnusableData where tasks.json or a schema is missing or wrong, or a task is not in tasks.json.
    """
    where = f"{store.url}{TASKS_FILE}"
    named = f"The configuration names the prediction tasks {quote_some(list(tasks))}"
    try:
        listed = _decode(store.read(TASKS_FILE), _DECODE_TASKS, where, 'a list of the tasks, such as ["my-task"]')
    except ObjectMissing as error:
        raise UnusableData(
            f"{named}, and {where} does not exist. Put a list of the tasks there, and each task's files beside it."
        ) from error
    if missing := [task for task in tasks if task not in listed]:
        raise UnusableData(
            f"{named}; {where} does not list {quote_some(missing)}. It lists {quote_some(listed) or 'none'}: add the "
            "task, or correct its name."
        )
    return [_load_schema(store, task) for task in tasks]


def _load_schema(store: Store, task: str) -> TaskSchema:
    key = f"{task_folder(task)}{SCHEMA_FILE}"
    where = f"{store.url}{key}"
    try:
        content = store.read(key)
    except ObjectMissing as error:
        raise UnusableData(
            f"The task {task} is listed in {TASKS_FILE}, and {where} does not exist. It names the task_type and the "
            "categories."
        ) from error
    schema = _decode(content, _DECODE_SCHEMA, where, '{"task_type": …, "categories": [{"id": 0, "name": …}, …]}')
    if fault := _find_fault(schema):
        raise UnusableData(f"{where}: {fault}.")
    ordered = sorted(schema.categories, key=lambda category: category.id)
    return TaskSchema(
        task,
        schema.task_type,
        tuple(Category(category.id, category.name) for category in ordered),
        tuple(None if c.keypoint_names is None else len(c.keypoint_names) for c in ordered),
        tuple(None if c.keypoint_names is None else tuple(c.keypoint_names) for c in ordered),
        tuple(tuple(map(tuple, c.keypoint_skeleton or ())) for c in ordered),
        schema.coordinates,
    )


def _decode(content: bytes, decoder: "msgspec.json.Decoder[T]", where: str, expected: str) -> T:
    try:
        return decode_json(content, decoder)
    except InvalidFile as error:
        raise UnusableData(f"{where} can't be used: {error}. Expected {expected}.") from error


def _find_fault(schema: _Schema) -> str | None:
    if schema.task_type not in KINDS:
        return f"task_type: expected one of {', '.join(KINDS)}; found {schema.task_type[:100]!r}"
    if schema.coordinates not in COORDINATES:
        return (
            f"coordinates: expected {SHOWN} (boxes are of the picture as it is shown, turned by its EXIF orientation) "
            f"or {STORED} (of the picture as it lies in the file); found {schema.coordinates[:100]!r}"
        )
    for key, a_key in (("id", "an id"), ("name", "a name")):
        counts = Counter(getattr(category, key) for category in schema.categories)
        if twice := [value for value, count in counts.items() if count > 1]:
            return f"categories: each has {a_key} of its own; found {twice[0]!r} more than once"
    if odd := [category for category in schema.categories if not _has_valid_skeleton(category)]:
        return f"categories: keypoint_skeleton of {odd[0].name!r}: expected pairs of indices of keypoint_names, from 0"
    return None


def _has_valid_skeleton(category: _Category) -> bool:
    if category.keypoint_skeleton is None:
        return True
    n = len(category.keypoint_names) if category.keypoint_names is not None else LARGEST_ID
    return all(len(pair) == 2 and all(0 <= end < n for end in pair) for pair in category.keypoint_skeleton)
