"""From a manifest file to a SelectionRun, read as kubectl reads it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selection_api import ManifestError, SelectionRun, check_supported, parse_manifest
from selection_api.names import KIND
from selection_job.errors import InvalidManifest
from selection_job.kubernetes_yaml import YamlError, load_documents, resolve_plain

LARGEST_BYTES = 1024 * 1024


def read_manifest(path: Path) -> SelectionRun:
    """Read, validate and check for support the one SelectionRun in a YAML or JSON file.

    Raises InvalidManifest; its message begins with the file and holds every problem, one line each.
    """
    try:
        return check_supported(parse_manifest(load_manifest(_read_text(path))))
    except (ManifestError, YamlError) as error:
        raise InvalidManifest(f"{path}: {error}") from error


def load_manifest(text: str) -> object:
    """Return the decoded document that holds the SelectionRun. Raises YamlError or ManifestError."""
    documents = [document for document in _load_documents(text) if document is not None]
    return documents[0] if len(documents) == 1 else _choose(documents)


def _read_text(path: Path) -> str:
    """Return the file's text. Bytes are counted while reading: a file may grow, or be a device."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidManifest(f"{path}: can't be read: {error.strerror or error}") from error
    if len(content) > LARGEST_BYTES:
        raise InvalidManifest(f"{path}: is larger than {LARGEST_BYTES} bytes, which no manifest is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidManifest(f"{path}: line {line}: is not UTF-8 text; save the manifest as UTF-8") from error


def _load_documents(text: str) -> Sequence[Any]:
    if text.lstrip().startswith("{"):
        try:
            return [_load_json(text)]
        except json.JSONDecodeError:
            pass  # YAML in flow style, or a mistake that YAML's error tells
        except RecursionError:
            raise YamlError(1, "nested too deeply") from None
    return load_documents(text)


def _load_json(text: str) -> Any:
    """Decode JSON with the numbers of kubernetes_yaml; halves of surrogate pairs are no text and are refused."""
    number = resolve_plain
    value = json.loads(
        text, object_pairs_hook=_unique, parse_float=number, parse_int=number, parse_constant=_refuse_constant
    )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise YamlError(1, "holds an escape of half a character (a lone surrogate)") from None
    return value


def _refuse_constant(word: str) -> Any:
    raise YamlError(1, f"{word} is not a number that a manifest can hold")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise YamlError(1, f"the key '{twice[:80]}' is already set in its mapping")
    return mapping


def _choose(documents: Sequence[Any]) -> object:
    """Return the one SelectionRun among several documents."""
    if not documents:
        raise YamlError(1, f"the file is empty; expected a {KIND}")
    runs = [document for document in documents if isinstance(document, dict) and document.get("kind") == KIND]
    if len(runs) != 1:
        found = f"{len(runs)} of {len(documents)} documents are {KIND}s"
        raise YamlError(1, f"expected exactly one {KIND} in the file; {found}")
    return runs[0]
