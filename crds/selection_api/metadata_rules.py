"""Rules of metadata: which computed values there are, what they can be used for, what a regular expression needs."""

import difflib
import re
from collections.abc import Iterator

from selection_api.problems import Finding, Location
from selection_api.selection_config import SelectionConfig, SelectionStrategy

COMPUTED = "lightly."
"""What keys of metadata that are computed from the images begin with."""

FILE_SIZE = f"{COMPUTED}sizeInBytes"
"""The computed key that needs no image to be opened."""

COMPUTED_KEYS = (
    *("lightly.contrast", "lightly.height", "lightly.luminance", "lightly.meanBlue", "lightly.meanGreen"),
    *("lightly.meanRed", "lightly.sharpness", FILE_SIZE, "lightly.snr", "lightly.uniformRowRatio", "lightly.width"),
)
"""All are numbers; docs/metadata.md defines them."""

_FROM_HEADERS = {FILE_SIZE, "lightly.width", "lightly.height"}
_GROUP = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")


def find_in_metadata(entry: SelectionStrategy, location: Location) -> Iterator[Finding]:
    """Yield a computed key that there is not, and one that a strategy for words looks at."""
    key = entry.input.key
    if entry.input.type != "METADATA" or key is None or not key.startswith(COMPUTED):
        return
    here = (*location, "input", "key")
    if key not in COMPUTED_KEYS:
        names = [known.removeprefix(COMPUTED) for known in COMPUTED_KEYS]
        near = difflib.get_close_matches(key.removeprefix(COMPUTED), names, n=1)
        hint = f"did you mean {COMPUTED}{near[0]}?" if near else f"there are {', '.join(COMPUTED_KEYS)}"
        yield Finding(here, f"is not computed; {hint} (keys of your own don't begin with {COMPUTED})")
    elif entry.strategy.type == "BALANCE":
        yield Finding(here, "is a number, and BALANCE needs categories; use WEIGHTS or THRESHOLD", (location,))


def find_in_path_regex(config: SelectionConfig, location: Location) -> Iterator[Finding]:
    """Yield a regular expression that names no group. Whether it is right in itself is RE2's to say, in the job."""
    if config.lightly_path_regex is not None and not name_groups(config.lightly_path_regex):
        message = "has no named group, such as (?P<camera>[^/]+), so there is nothing to take from the names"
        yield Finding((*location, "lightly_path_regex"), message)


def name_groups(expression: str) -> list[str]:
    r"""Return the names of a regular expression's groups.

    >>> name_groups("^(?P<camera>[^/]+)/(?P<day>\d+)")
    ['camera', 'day']
    """
    return _GROUP.findall(expression)


def notes_on_path_regex(config: SelectionConfig | None) -> Iterator[str]:
    """Yield the groups that no strategy looks at, where none is."""
    if config is None or config.lightly_path_regex is None:
        return
    groups = name_groups(config.lightly_path_regex)
    if not {entry.input.key for entry in config.strategies} & set(groups):
        yield f"spec.selectionConfig.lightly_path_regex has no effect: no strategy names {', '.join(groups)}"


def notes_on_decoder(config: SelectionConfig | None, decoder: str) -> Iterator[str]:
    """Yield that the decoder fast is not used where pixels are measured."""
    keys = [entry.input.key for entry in config.strategies] if config else []
    measured = sorted({key for key in keys if key in COMPUTED_KEYS and key not in _FROM_HEADERS})
    if decoder == "fast" and measured:
        yield f"spec.workerConfig.decoder has no effect: {measured[0]} is measured on images that are decoded in full"
