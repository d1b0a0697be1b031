"""`selection-job check`: say of each SelectionRun whether it is right, of many files and documents in one go."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from selection_api import ExitCode, ManifestError
from selection_job.catalog.image_names import EXTENSIONS
from selection_job.errors import InvalidManifest
from selection_job.manifest.documents import Document, PassedOver, find_files, read_documents
from selection_job.manifest.medium import medium_of
from selection_job.manifest.noun import Noun, agree
from selection_job.manifest.reading import name_file, validate
from selection_job.stores.local.folders import warn_of_folders

_RUN = Noun("SelectionRun", "SelectionRuns")
_ELSEWHERE = "(No matter if the manifest is meant for another machine.)"
ACCESS = (
    "Access was not tried: a run tries to list, read and write before any work, and with workerConfig.sanity_check: "
    "true it does nothing else."
)


@dataclass
class Findings:
    """What has been found so far."""

    n_valid: int = 0
    n_wrong: int = 0
    """SelectionRuns with problems, and files that can't be read."""
    passed_over: PassedOver = field(default_factory=PassedOver)


def check_manifests(places: list[Path], *, recursive: bool = False, digest: str | None = None) -> ExitCode:
    """Say what is right on standard output and what is wrong on standard error, and return the exit code.

    places     files, folders, or '-' for standard input
    recursive  look into folders of folders too
    digest     sha256:<64 hex digits> that the one file must have; None for any
    """
    findings = Findings()
    for place in places:
        _check_place(place, findings, recursive=recursive, digest=digest)
    over = str(findings.passed_over)
    if not findings.n_valid and not findings.n_wrong:
        among = f" among what was passed over: {over}" if over else ": it is empty"
        _complain(findings, f"{', '.join(map(name_file, places))}: there is no SelectionRun{among}")
    elif over or findings.n_valid + findings.n_wrong > 1:
        print(_summarize(findings.n_valid, findings.n_wrong, over))
    if findings.n_valid:
        print(ACCESS)
    return ExitCode.INVALID_MANIFEST if findings.n_wrong else ExitCode.DONE


def _check_place(place: Path, findings: Findings, *, recursive: bool, digest: str | None) -> None:
    try:
        files = find_files(place, recursive=recursive)
    except InvalidManifest as error:
        return _complain(findings, str(error))
    for path in files:
        try:
            documents = read_documents(path, findings.passed_over, is_named=path == place, digest=digest)
        except InvalidManifest as error:
            _complain(findings, str(error))
            continue
        for document in documents:
            _check_document(document, findings)
    return None


def _check_document(document: Document, findings: Findings) -> None:
    try:
        run = validate(document.content)
    except ManifestError as error:
        return _complain(findings, f"{document.label}: {error}")
    findings.n_valid += 1
    print(f"{document.label} is a valid SelectionRun: {run.metadata.name}", flush=True)
    for warning in warn_of_folders(run.spec.datasources, EXTENSIONS[medium_of(run.spec.dataset.type)]):
        print(f"selection-job: warning: {document.label}: {warning} {_ELSEWHERE}", file=sys.stderr)
    return None


def _complain(findings: Findings, problem: str) -> None:
    findings.n_wrong += 1
    print(f"selection-job: {problem}", file=sys.stderr)


def _summarize(n_valid: int, n_wrong: int, passed_over: str) -> str:
    words = f"{_RUN.count_with(n_valid, 'are')} valid"
    if n_wrong:
        words += f", {n_wrong:,} {agree(n_wrong, 'are')} not"
    return f"{words}; passed over: {passed_over}." if passed_over else f"{words}."
