"""From a manifest file to a SelectionRun, read as kubectl reads it."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from selection_api import ManifestError, Problem, SelectionRun, check_supported, parse_manifest
from selection_api.names import ANNOTATION_MANIFEST, KIND, run_id
from selection_job.errors import InvalidManifest
from selection_job.manifest.kubernetes_yaml import YamlError, load_documents, resolve_plain
from selection_job.manifest.path_regex import FIELD, find_fault

LARGEST_BYTES = 1024 * 1024
STANDARD_INPUT = Path("-")
LONGEST_PATH_REGEX = 1024


def read_manifest(path: Path, *, digest: str | None = None) -> SelectionRun:
    """Read, validate and check for support the one SelectionRun in a YAML or JSON file; '-' is standard input.

    digest    sha256:<64 hex digits> that the file's bytes must have; None for any
    Raises InvalidManifest; its message begins with the file and holds every problem, one line each.
    """
    text = read_text(path, digest=digest)
    try:
        return validate(load_manifest(text))
    except (ManifestError, YamlError) as error:
        raise InvalidManifest(f"{name_file(path)}: {error}") from error


def validate(document: object) -> SelectionRun:
    """Return the SelectionRun that a decoded document holds.

    Raises ManifestError with every problem: of fields, between fields, what is not supported, and RE2's.
    """
    problems: list[Problem] = []
    n_more = 0
    try:
        run = check_supported(parse_manifest(document))
    except ManifestError as error:
        problems, n_more = error.problems, error.n_more
    text = _find_path_regex(document)
    if text is not None and FIELD not in {problem.path for problem in problems} and (fault := find_fault(text)):
        problems = [*problems, Problem(FIELD, fault)]
    if problems:
        raise ManifestError(problems, n_more)
    return run


def read_text(path: Path, *, digest: str | None = None) -> str:
    """Return the text of a file, of standard input for '-'. Raises InvalidManifest, as read_manifest does."""
    content = _read_bytes(path)
    if digest is not None:
        _check_digest(path, content, digest)
    return _decode(path, content)


def name_file(path: Path) -> str:
    """Return what messages call the file: one line, whatever it is called."""
    if path == STANDARD_INPUT:
        return "standard input"
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def identify_run(run: SelectionRun) -> str:
    """Return the name of the run's folder; locally a digest of what the user set stands for the missing uid."""
    settings = json.dumps(run.user_settings()["spec"], sort_keys=True)
    return run_id(run.metadata.name, run.metadata.uid or sha256(settings.encode()).hexdigest())


def load_manifest(text: str) -> object:
    """Return the decoded document that holds the SelectionRun. Raises YamlError."""
    documents = load_all(text)
    return documents[0] if len(documents) == 1 else _choose(documents)


def load_all(text: str) -> list[Any]:
    """Return the decoded documents of a YAML or JSON text, without empty ones. Raises YamlError."""
    return [document for document in _load_documents(text) if document is not None]


def _read_bytes(path: Path) -> bytes:
    """Return the file's content. Bytes are counted while reading: a file may grow, or be a device."""
    try:
        with nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidManifest(f"{name_file(path)}: can't be read: {error.strerror or error}") from error
    if len(content) > LARGEST_BYTES:
        raise InvalidManifest(f"{name_file(path)}: is larger than {LARGEST_BYTES} bytes, which no manifest is")
    return content


def _check_digest(path: Path, content: bytes, digest: str) -> None:
    if re.fullmatch("sha256:[0-9a-f]{64}", digest) is None:
        raise InvalidManifest(f"--digest: expected sha256: and 64 hexadecimal digits (0-9a-f), found {digest[:100]!r}")
    found = f"sha256:{sha256(content).hexdigest()}"
    if found != digest:
        raise InvalidManifest(
            f"{name_file(path)}: has the digest {found}, expected {digest}: the pod's annotation {ANNOTATION_MANIFEST} "
            "was changed after the Job was made. Delete the run and apply it again."
        )


def _decode(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidManifest(
            f"{name_file(path)}: line {line}: is not UTF-8 text; save the manifest as UTF-8"
        ) from error


def _find_path_regex(document: object) -> str | None:
    """Return the expression of a document that may be wrong anywhere."""
    for key in FIELD.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) and 0 < len(document) <= LONGEST_PATH_REGEX else None


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
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
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
