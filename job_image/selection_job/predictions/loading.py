"""Loading: the predictions of tasks from .lightly/predictions/ of the lightly datasource."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TextIO

import numpy as np

from selection_job.catalog.image_names import escape_name, quote_some
from selection_job.catalog.listing_notes import note_foreign_files, note_respelled_files
from selection_job.errors import UnusableData
from selection_job.formats.json_reading import InvalidFile
from selection_job.manifest.noun import FILE, IMAGE, NUMBER, OBJECT, agree
from selection_job.predictions.columns import ColumnsBuilder, load_task_columns, save_task_columns
from selection_job.predictions.json_decoding import MOST_BYTES
from selection_job.predictions.prediction_file import ROUNDING, parse_file
from selection_job.predictions.problems import (
    PROBLEMS_FILE,
    Tally,
    forget_problem_lines,
    gather_problem_lines,
    problem_line,
    read_tally,
)
from selection_job.predictions.task_predictions import TaskPredictions
from selection_job.predictions.task_schema import SCHEMA_FILE, TaskSchema, load_schemas
from selection_job.process.progress import Progress
from selection_job.run.kept_stages import KeptStage, KeptStages, Noted, make_fingerprint
from selection_job.stores.sidecar_files import (
    FileContent,
    ImageFiles,
    ImageRows,
    list_image_files,
    read_image_files,
    stem_of,
)
from selection_job.stores.store import Store

_PROBLEMS, _COUNTS = "problems.csv", "counts.json"
_BLOCK = 10_000
_MOST_EXAMPLES = 3
_RULES = 2
"""Part of the fingerprint: raised when a file comes to mean something else, so that older kept stages are not used."""


def load_predictions(
    store: Store, tasks: Sequence[str], names: list[str], *, stages: KeptStages, scratch: Path, progress: Progress
) -> Noted[dict[str, TaskPredictions]]:
    """Return the predictions of each task, aligned with names.

    A file that can't be used counts as missing: the image has no predictions of the task. Each is named in
    data/prediction_problems.csv, whose lines wait in the scratch folder, and how many they are in the notes.
    store  the lightly datasource
    Raises UnusableData where tasks.json or a task's schema is missing or wrong, or where no image has a usable file.
    """
    forget_problem_lines(scratch)
    schemas = load_schemas(store, tasks)
    images = ImageRows(names)
    names_digest = _digest_names(names)
    loaded: dict[str, TaskPredictions] = {}
    notes: list[str] = []
    for schema in schemas:
        files = list_image_files(store, schema.folder, images, others={SCHEMA_FILE})
        made = stages.reuse_or_make(_make_stage(store, schema, images, names_digest, files=files, progress=progress))
        task, tally, problems = made.value
        if not task.has_file.any():
            raise UnusableData(_explain_nothing(store.url, schema, files, tally, len(names)))
        gather_problem_lines(scratch, problems)
        notes.extend(_note_tally(schema, files, tally))
        loaded[schema.task] = task
    return Noted(loaded, tuple(notes))


def _digest_names(names: list[str]) -> str:
    digest = sha256()
    for start in range(0, len(names), _BLOCK):
        digest.update("\0".join([*names[start : start + _BLOCK], ""]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _make_stage(
    store: Store, schema: TaskSchema, images: ImageRows, names_digest: str, *, files: ImageFiles, progress: Progress
) -> KeptStage[tuple[TaskPredictions, Tally, Path]]:
    """Return the reading of a task's files as a stage: predictions, counts, and the file of what is wrong."""
    n = len(images.names)
    fingerprint = make_fingerprint(
        task=schema.task,
        kind=schema.kind,
        categories=[[category.id, category.name] for category in schema.categories],
        n_keypoints=schema.n_keypoints,
        files=files.fingerprint,
        names=names_digest,
        rules=_RULES,
    )

    def make(folder: Path) -> None:
        with (folder / _PROBLEMS).open("w", encoding="utf-8", newline="") as problems:
            reader = _TaskReader(schema, images, files, problems)
            with progress.bar(f"Reading predictions of {schema.task}", len(files.rows), "files") as bar:
                for file in read_image_files(store, files, images.names, most_bytes=MOST_BYTES):
                    reader.add(file)
                    bar.advance()
            reader.note_missing()
        save_task_columns(reader.builder.build(), folder)
        (folder / _COUNTS).write_text(json.dumps(vars(reader.tally)))

    def read(folder: Path) -> tuple[TaskPredictions, Tally, Path]:
        problems = folder / _PROBLEMS
        problems.stat()  # a kept stage may lack it, and is then made again
        return load_task_columns(schema, n, folder), read_tally((folder / _COUNTS).read_bytes()), problems

    return KeptStage("predictions", fingerprint, make, read)


class _TaskReader:
    """Takes in a task's files, one after the other, and notes what is wrong with them."""

    def __init__(self, schema: TaskSchema, images: ImageRows, files: ImageFiles, problems: TextIO) -> None:
        self.builder = ColumnsBuilder(schema, len(images.names))
        self.tally = Tally()
        self._schema, self._images, self._files, self._problems = schema, images, files, problems
        self._is_done = np.zeros(len(images.names), dtype=np.bool_)

    def add(self, file: FileContent) -> None:
        """Take in one file."""
        names = self._images.names
        rows = self._images.find(stem_of(names[file.row]))
        try:
            if file.reason is not None:
                raise InvalidFile(file.reason)
            image = parse_file(file.content, self._schema)
            rows = self._named_rows(rows, image.file_name)
        except InvalidFile as error:
            self.tally.n_invalid += 1
            self._note(self._files.key_of(names, file.row), str(error))
        else:
            for row in rows:
                self.builder.add(row, image)
            self._count_rounded(self._files.key_of(names, file.row), image.n_rounded)
            self.tally.n_certain += image.n_certain
        self._is_done[rows] = True

    def _count_rounded(self, key: str, n: int) -> None:
        self.tally.n_rounded += n
        if n and len(self.tally.rounded_in) < _MOST_EXAMPLES:
            self.tally.rounded_in.append(key)

    def _named_rows(self, rows: list[int], file_name: str | None) -> list[int]:
        """Return the images that the file is about: the one that file_name names, all without it."""
        if file_name is None:
            return rows
        names = self._images.names
        if named := self._images.find_named(rows, file_name):
            return named
        expected = quote_some([names[row] for row in rows])
        raise InvalidFile(f"file_name: expected {expected}, as the file is called; found {file_name[:200]!r}")

    def note_missing(self) -> None:
        """Note the images that no file was about."""
        names = self._images.names
        for row in np.flatnonzero(~self._is_done).tolist():
            self.tally.n_missing += 1
            self._note(self._files.key_of(names, row), f"missing: no file is about the image {names[row]!r}")

    def _note(self, key: str, reason: str) -> None:
        if len(self.tally.examples) < _MOST_EXAMPLES:
            self.tally.examples.append(f"{quote_some([key])}: {escape_name(reason)}")
        self._problems.write(problem_line(self._schema.task, key, reason))


def _explain_nothing(where: str, schema: TaskSchema, files: ImageFiles, tally: Tally, n: int) -> str:
    """Return why no image has predictions."""
    found = f"{FILE.count(tally.n_invalid)} can't be used, {IMAGE.count_with(tally.n_missing, 'have')} none"
    if m := files.n_foreign:
        found += f", {m:,} other {FILE.form(m)} {agree(m, 'belong')} to none of them ({quote_some(files.foreign)})"
    return (
        f"The predictions of the task {schema.task} for the image sub/a.jpg are the file {schema.folder}sub/a.json in "
        f"{where}, and none of the {IMAGE.count(n)} has such a file that can be used: {found}. "
        f"The first problems: {'; '.join(tally.examples)}."
    )


def _note_tally(schema: TaskSchema, files: ImageFiles, tally: Tally) -> Iterator[str]:
    task = f"The task {schema.task}"
    if tally.n_invalid:
        yield (
            f"{task}: {tally.n_invalid:,} of {len(files.rows):,} prediction {FILE.form(len(files.rows))} can't be used "
            f"and count as missing; data/{PROBLEMS_FILE} says why. The first: {tally.examples[0]}"
        )
    if tally.n_missing:
        images, them = IMAGE.count_with(tally.n_missing, "have"), agree(tally.n_missing, "them")
        yield f"{task}: {images} no prediction file; data/{PROBLEMS_FILE} names {them}."
    if tally.n_rounded:
        n, such = tally.n_rounded, f"such as in {quote_some(tally.rounded_in)}"
        yield (
            f"{task}: {NUMBER.count_with(n, 'are')} out of range by no more than {ROUNDING}, as rounding leaves "
            f"{agree(n, 'them')}, and {agree(n, 'count')} as the range's end, {such}."
        )
    if n := tally.n_certain:
        have = f"{OBJECT.count_with(n, 'have')} no score and {agree(n, 'count')} as certain"
        yield f"{task}: {have}, as labels do (a score of 1)."
    yield from note_respelled_files(task, files)
    yield from note_foreign_files(task, files)
