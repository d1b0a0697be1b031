"""open_clip, imported without transformers, which it takes a second for where that is installed.

It uses transformers for text towers that are fetched by their names, and those are refused here. Where the entry of a
module in sys.modules is None, Python's import ends as if it was not installed, which open_clip is prepared for.
"""

import sys

_NAME = "transformers"

if _NAME in sys.modules or "open_clip" in sys.modules:
    import open_clip
else:
    sys.modules[_NAME] = None  # type: ignore[assignment]
    try:
        import open_clip
    finally:
        del sys.modules[_NAME]

__all__ = ["open_clip"]
