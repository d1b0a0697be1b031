"""Stages: what a run has finished, kept beside its results so that a retried or resumed run goes on from there.

A stage lies under <run>/.stages/<stage>-<fingerprint>/, its files first and complete.json last: a folder without
complete.json is a stage that was cut off, and counts as absent. What it has to tell lies in its notes.json, which is
left out where there is nothing.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Generic, TypeVar

from selection_job.errors import ObjectMissing, UnusableData
from selection_job.stores.store import Store

log = logging.getLogger("selection_job")

T = TypeVar("T")
Part = TypeVar("Part")

_COMPLETE, _NOTES = "complete.json", "notes.json"
FORMAT = 1
"""Part of each fingerprint: raised when a stage's files change their meaning, so that old ones are not reused."""


def make_fingerprint(**parts: Any) -> str:
    """Return 16 hex digits that change when any of the parts does. Parts are JSON values."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Noted(Generic[T]):
    """A value, and what the user should know of how it came about, in sentences for report.json."""

    value: T
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptStage(Generic[T]):
    """A piece of work that is done once: a stage of a run, or a part of one, which can be made without the others."""

    name: str
    fingerprint: str
    """Changes with everything that decides over the result."""
    make: Callable[[Path], Iterable[str] | None]
    """Fills the local folder; its files, also in sub-folders, are then kept, and with them the notes it returns."""
    read: Callable[[Path], T]
    """Returns what make has written. Raises ValueError, OSError, MemoryError (a header can claim any size) or
    UnusableData for files it can't use; kept ones are then made again."""


class KeptStages:
    """The finished stages of one run, in the lightly datasource."""

    def __init__(self, store: Store, run_key: str, scratch: Path) -> None:
        self._store = store
        self._key = f"{run_key}.stages/"
        self._scratch = scratch

    def reuse_or_make(self, stage: KeptStage[T]) -> Noted[T]:
        """Return what the stage reads from its files, and its notes: from the kept ones, else from those it makes."""
        folder = self._scratch / f"{stage.name}-{stage.fingerprint}"
        folder.mkdir(parents=True, exist_ok=True)
        if self._fetch(folder):
            try:
                return Noted(stage.read(folder), _read_notes(folder))
            except (ValueError, OSError, MemoryError, RecursionError, UnusableData) as error:
                log.warning("What was kept of the stage %s can't be used and is made again: %s", stage.name, error)
        shutil.rmtree(folder)
        folder.mkdir()
        if notes := list(stage.make(folder) or ()):
            (folder / _NOTES).write_text(json.dumps(notes), encoding="utf-8")
        self._keep(folder)
        return Noted(stage.read(folder), _read_notes(folder))

    def join(self, parts: Iterable[KeptStage[Part]], join: Callable[[list[Part]], T]) -> Noted[T]:
        """Return what join makes of the parts, each of them reused or made; their notes follow one another."""
        done = [self.reuse_or_make(part) for part in parts]
        return Noted(join([part.value for part in done]), tuple(note for part in done for note in part.notes))

    def keep_file(self, stage: str, fingerprint: str, path: Path) -> None:
        """Keep one file of an unfinished stage, such as training's last.ckpt."""
        self._store.upload(f"{self._key}{stage}-{fingerprint}/{path.name}", path)

    def fetch_file(self, stage: str, fingerprint: str, name: str) -> Path | None:
        """Return a local copy of a file that keep_file kept, or None."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        path = self._scratch / f"{stage}-{fingerprint}-{name}"
        try:
            self._store.download(f"{self._key}{stage}-{fingerprint}/{name}", path)
        except ObjectMissing:
            return None
        return path

    def forget(self) -> None:
        """Delete all stages: the results are published."""
        self._store.delete_folder(self._key)

    def _fetch(self, folder: Path) -> bool:
        key = f"{self._key}{folder.name}/"
        try:
            names = json.loads(self._store.read(key + _COMPLETE))["files"]
            for name in map(_check_name, names):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                self._store.download(key + name, folder / name)
        except (ObjectMissing, FileExistsError, NotADirectoryError, ValueError, KeyError, TypeError, RecursionError):
            return False
        return True

    def _keep(self, folder: Path) -> None:
        key = f"{self._key}{folder.name}/"
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for name in names:
            self._store.upload(key + name, folder / name)
        self._store.write(key + _COMPLETE, json.dumps({"files": names}).encode())


def _read_notes(folder: Path) -> tuple[str, ...]:
    """Return the notes of a stage, none where it has left none. Raises ValueError for a file of something else."""
    path = folder / _NOTES
    notes = json.loads(path.read_bytes()) if path.exists() else []
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError(f"{_NOTES} is no list of sentences")
    return tuple(notes)


def _check_name(name: object) -> str:
    """Return the name of a file inside the stage's folder; ValueError for anything else (a bucket is hostile)."""
    path = PurePosixPath(name) if isinstance(name, str) else PurePosixPath()
    if not path.parts or ".." in path.parts or path.is_absolute() or "\0" in str(name) or str(path) != name:
        raise ValueError(f"complete.json names {name!r}, which is no file inside the stage's folder")
    return str(name)
