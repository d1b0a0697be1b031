"""Names of timm's architectures, looked up in timm's registry: 'hf-hub:…' and 'local-dir:…' are none of them."""

import re
from difflib import get_close_matches

import timm

from selection_job.encoder.folders.unusable_folder import UnusableFolder

_NAME = re.compile(r"([A-Za-z0-9_]{1,100})(\.[A-Za-z0-9_]{1,100})?")
_SHOWN = 80


def check_architecture(name: str, place: str) -> str:
    """Return the name without a tag of weights ('.lvd142m'). Raises UnusableFolder with the nearest names.

    place  where it stands, such as "config.json: architecture"
    """
    match = _NAME.fullmatch(name)
    if match and timm.is_model(match[1]):
        return match[1]
    near = get_close_matches(name.partition(".")[0][:_SHOWN], timm.list_models(), n=3)
    advice = f"nearest: {', '.join(near)}" if near else "its list is timm.list_models()"
    raise UnusableFolder(f"{place} {name[:_SHOWN]!r} is not known to timm {timm.__version__}; {advice}")
