"""Which documents of the files that people name, or of whole folders, are SelectionRuns to look at."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from selection_api.names import GROUP, KIND
from selection_api.problems import quote
from selection_job.errors import InvalidManifest
from selection_job.manifest.kubernetes_yaml import YamlError
from selection_job.manifest.noun import FILE, agree
from selection_job.manifest.reading import STANDARD_INPUT, load_all, name_file, read_text

ENDINGS = (".yaml", ".yml", ".json")
"""Of the files that are looked at in a folder, as kubectl does."""

_KIND_LINE = re.compile(rf"""^kind:\s*['"]?{KIND}\b|"kind"\s*:\s*"{KIND}\"""", re.MULTILINE)
_MOST_KINDS = 5
_LONGEST_KIND = 63


@dataclass(frozen=True)
class Document:
    """A decoded document that should be a SelectionRun, and what messages call it."""

    label: str
    content: object


@dataclass
class PassedOver:
    """What was looked at and is no SelectionRun."""

    kinds: Counter[str] = field(default_factory=Counter)
    files: int = 0
    """Files of a folder that are no YAML and don't speak of SelectionRuns, such as a chart's templates."""

    def __str__(self) -> str:
        """The words for a summary; '' where nothing was passed over."""
        parts = [f"{count} {kind}" for kind, count in self.kinds.most_common(_MOST_KINDS)]
        if more := self.kinds.total() - sum(count for _, count in self.kinds.most_common(_MOST_KINDS)):
            parts.append(f"{more} of further kinds")
        if self.files:
            parts.append(f"{FILE.count(self.files)} that {agree(self.files, 'are')} not YAML")
        return ", ".join(parts)


def find_files(place: Path, *, recursive: bool) -> list[Path]:
    """Return the file itself, or the manifests in a folder, sorted; recursive: and below it, hidden folders left out.

    Raises InvalidManifest where a folder has none, or can't be listed.
    """
    if place == STANDARD_INPUT or not place.is_dir():
        return [place]
    found, n_folders = list[Path](), 0
    for folder, below, names in os.walk(place, onerror=_refuse):
        found += [Path(folder, name) for name in names if name.lower().endswith(ENDINGS) and not name.startswith(".")]
        n_folders = len(below)
        below[:] = [name for name in below if recursive and not name.startswith(".")]
    if not found:
        hint = f"; its {n_folders} folders are looked into with -R" if n_folders and not recursive else ""
        raise InvalidManifest(f"{name_file(place)}: no file in it ends in {', '.join(ENDINGS)}{hint}")
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InvalidManifest(f"{name_file(Path(error.filename))}: can't be listed: {error.strerror}") from error


def read_documents(path: Path, passed_over: PassedOver, *, is_named: bool, digest: str | None = None) -> list[Document]:
    """Return the SelectionRuns of a file, and what seems to be meant as one; all else is counted in passed_over.

    is_named  whether the file was named, and not found in a folder: it is looked at more closely
    Raises InvalidManifest where the file can't be read.
    """
    try:
        text = read_text(path, digest=digest)
    except InvalidManifest:
        if is_named or _speaks_of_runs(_peek(path)):
            raise
        passed_over.files += 1
        return []
    try:
        objects = [entry for document in load_all(text) for entry in _unpack(document)]
    except YamlError as error:
        if is_named or _speaks_of_runs(text):
            raise InvalidManifest(f"{name_file(path)}: {error}") from error
        passed_over.files += 1
        return []
    return list(_choose(path, objects, passed_over, is_named=is_named))


def _choose(path: Path, objects: list[object], passed_over: PassedOver, *, is_named: bool) -> Iterator[Document]:
    for i, content in enumerate(objects):
        kind = content.get("kind") if isinstance(content, dict) else None
        if _is_meant_as_run(content) or (is_named and not isinstance(kind, str)):
            where = f", document {i + 1}{_name(content)}" if len(objects) > 1 else ""
            yield Document(f"{name_file(path)}{where}", content)
        else:
            passed_over.kinds[_shorten(kind) if isinstance(kind, str) else "without a kind"] += 1


def _unpack(document: object) -> list[object]:
    """Return the entries of a List, such as `kubectl get -o yaml` writes; else the document alone."""
    is_list = isinstance(document, dict) and document.get("kind") in ("List", f"{KIND}List")
    entries = document.get("items") if is_list and isinstance(document, dict) else None
    return entries if isinstance(entries, list) else [document]


def _is_meant_as_run(document: object) -> bool:
    """Say whether a document is a SelectionRun, or has a mistake where it says so."""
    if not isinstance(document, dict):
        return False
    kind, version, spec = document.get("kind"), document.get("apiVersion"), document.get("spec")
    if kind == KIND or (isinstance(version, str) and version.startswith(f"{GROUP}/")):
        return True
    return kind is None and isinstance(spec, dict) and "datasources" in spec


def _speaks_of_runs(text: str) -> bool:
    """Say whether a text that can't be read as YAML holds a SelectionRun; a chart's templates don't begin so."""
    return _KIND_LINE.search(text) is not None


def _peek(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1024 * 1024).decode("utf-8", "replace")
    except OSError:
        return f"kind: {KIND}"  # nobody knows: its fault is told


def _name(document: object) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f" ({quote(name)[1:-1]})" if isinstance(name, str) else ""


def _shorten(kind: str) -> str:
    return quote(kind)[1:-1] if len(kind) <= _LONGEST_KIND else "of an odd kind"
