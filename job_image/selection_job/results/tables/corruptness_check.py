"""data/corruptness_check_information.json: every file that can't be used, and why, in the worker's form."""

import json
from pathlib import Path

from selection_job.catalog.catalog import Catalog


def write_corruptness_check(path: Path, catalog: Catalog) -> None:
    """Write {"corrupt_samples": {name: reason}, "corrupt_videos": {name: reason}}, names sorted, in UTF-8.

    Samples are images, or frames. Where the worker writes the class of an exception, the reasons here are words.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    videos = catalog.frames.corrupt_videos if catalog.frames is not None else {}
    content = {"corrupt_samples": catalog.corrupt, "corrupt_videos": videos}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1)
    path.write_bytes(text.encode("utf-8", "backslashreplace") + b"\n")
