"""Names of timm's architectures, looked up in timm's registry: 'hf-hub:…' and 'local-dir:…' are none of them."""

import re
from difflib import get_close_matches

import timm

from selection_job.encoder.folders.unusable_folder import UnusableFolder

_NAME = re.compile(r"[A-Za-z0-9_]+")
_SHOWN = 80


def check_architecture(name: str, place: str) -> str:
    """Return the name without a tag of weights ('.lvd142m'). Raises UnusableFolder with the nearest names.

    place  where it stands, such as "config.json: architecture"
    """
    plain = name.partition(".")[0]
    if _NAME.fullmatch(plain) and timm.is_model(plain):
        return plain
    near = get_close_matches(plain[:_SHOWN], timm.list_models(), n=3)
    advice = f"nearest: {', '.join(near)}" if near else "its list is timm.list_models()"
    raise UnusableFolder(f"{place} {name[:_SHOWN]!r} is not known to timm {timm.__version__}; {advice}")
