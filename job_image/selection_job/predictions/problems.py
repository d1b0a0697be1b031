"""data/prediction_problems.csv: which prediction files were not used, or only in part, and why."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from selection_job.catalog.image_names import escape_name
from selection_job.formats.csv_fields import quote_field

PROBLEMS_FILE = "prediction_problems.csv"
HEADER = "task,file,reason\n"


@dataclass
class Tally:
    """What became of a task's files."""

    n_invalid: int = 0
    n_missing: int = 0
    examples: list[str] = field(default_factory=list)
    """The first problems, as 'key: reason'."""
    n_rounded: int = 0
    """Numbers that were out of range by no more than a rounding."""
    rounded_in: list[str] = field(default_factory=list)
    """The first keys of files with such numbers."""
    n_certain: int = 0
    """Objects without a score, which count as certain."""


_DECODE_TALLY = msgspec.json.Decoder(Tally)


def read_tally(content: bytes) -> Tally:
    """Return the tally that vars() of one was written from. Raises ValueError for anything else."""
    return _DECODE_TALLY.decode(content)


def problem_line(task: str, key: str, reason: str) -> str:
    """Return a line of the table, ending in a newline."""
    return ",".join(map(quote_field, (task, escape_name(key), escape_name(reason)))) + "\n"


def gather_problem_lines(scratch: Path, lines: Path) -> None:
    """Append the lines of a task to those of the run, which wait in the scratch folder until results are written."""
    if lines.stat().st_size:
        with lines.open("rb") as source, _lines_of_run(scratch).open("ab") as target:
            shutil.copyfileobj(source, target)


def append_problem_line(scratch: Path, line: str) -> None:
    """Append a line of problem_line to those of the run."""
    with _lines_of_run(scratch).open("a", encoding="utf-8", newline="") as file:
        file.write(line)


def forget_problem_lines(scratch: Path) -> None:
    """Remove what an earlier try has left."""
    _lines_of_run(scratch).unlink(missing_ok=True)


def publish_problems(scratch: Path, folder: Path) -> None:
    """Write the table into the folder where there is anything to say.

    scratch  where gather_problem_lines put the lines
    """
    lines = _lines_of_run(scratch)
    if not lines.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with lines.open("rb") as source, (folder / PROBLEMS_FILE).open("wb") as target:
        target.write(HEADER.encode())
        shutil.copyfileobj(source, target)


def _lines_of_run(scratch: Path) -> Path:
    return scratch / "prediction_problems"
