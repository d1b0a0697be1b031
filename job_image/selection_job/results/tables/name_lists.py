"""Names of images: the lists under filenames/, one name a line, and data/corruptness_check_information.json."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from selection_job.catalog.catalog import Catalog
from selection_job.selection.selection import Selection

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def write_name_lists(folder: Path, catalog: Catalog, selection: Selection) -> None:
    """Write the four lists: corrupt, duplicate, removed, and the selected images in the order of choice.

    duplicate_filenames.txt holds what was removed because an image with the same bytes stays. Of videos there is
    corrupt_videos.txt too: those that can't be used at all, where corrupt_filenames.txt holds single frames.
    """
    folder.mkdir(parents=True, exist_ok=True)
    took_part = np.zeros(catalog.n_new, dtype=bool)
    took_part[selection.candidates] = True
    _write(folder / "corrupt_filenames.txt", sorted(catalog.corrupt))
    if catalog.medium.has_many_per_file:
        _write(folder / "corrupt_videos.txt", sorted(catalog.corrupt_files))
    _write(folder / "duplicate_filenames.txt", (catalog.names[row] for row in np.flatnonzero(~took_part).tolist()))
    _write(folder / "removed_filenames.txt", (catalog.names[row] for row in selection.removed.tolist()))
    _write(
        folder / "sampled_filenames_excluding_datapool.txt",
        (catalog.names[row] for row in selection.selected.tolist()),
    )


def _write(path: Path, names: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{escape_line(name)}\n" for name in names)


def escape_line(name: str) -> str:
    r"""Return the name on one line of valid UTF-8: control characters and stray bytes appear as \n or \x.., \udc...

    >>> print(escape_line("a\nb.jpg"))
    a\nb.jpg
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def write_corruptness_check(path: Path, catalog: Catalog) -> None:
    """Write {"corrupt_samples": {name: reason}, "corrupt_videos": {name: reason}}, names sorted, in UTF-8.

    It names every file that can't be used; samples are images, or frames. Where the worker writes the class of an
    exception, the reasons here are words.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"corrupt_samples": catalog.corrupt, "corrupt_videos": catalog.corrupt_files}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1)
    path.write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
