"""data/output_names.csv: what is written by another name than usual, which is another's or refused."""

from collections.abc import Sequence
from pathlib import Path

from selection_job.formats.csv_fields import quote_field
from selection_job.formats.distinct_names import Renamed

FILE_NAME = "output_names.csv"


def write_output_names(folder: Path, renamed: Sequence[Renamed]) -> list[str]:
    """Write a row for each; nothing where there is none. Return a note on them."""
    if not renamed:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE_NAME).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write("what,name,written_as\n")
        for row in renamed:
            file.write(",".join(map(quote_field, (row.what, row.name, row.written_as))) + "\n")
    first, n = renamed[0], len(renamed)
    others = f", and {n - 1:,} more" if n > 1 else ""
    return [
        "What would have had another one's name, or one that a tool refuses, was given its own: the "
        f"{first.what} of {first.name!r} is {first.written_as!r}{others}; data/{FILE_NAME} lists them."
    ]
