"""Everything that the tests build once, before the first of them starts: programs, images, servers, a detector.

`python tests/cluster/testbed/builds.py` builds side by side what the cache does not have, and says what. No test
depends on it: one that is run alone builds what it needs.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

if __name__ == "__main__":
    TESTS = Path(__file__).parents[2]
    sys.path[:0] = [str(TESTS / folder) for folder in ("cluster", "job", "storage")]

from testbed import binaries, images

AT_ONCE = 3
"""Compilers use every core; to link, to download and to unpack takes one, and these take most of the time."""

LONG_S = 2.0


def parts():
    """Return what there is to build, {name: function}; what takes longest stands first."""
    from storage_servers import install_azurite
    from street_scenes import find_detector

    programs = sorted(binaries.MODULES, key=lambda name: (not name.startswith("kubernetes"), name))
    return {
        "images": images.build_all,
        **{name: lambda name=name: binaries.build(name) for name in programs},
        "azurite": install_azurite,
        "detector": find_detector,
    }


def build_everything(wanted):
    """Build {name: function} side by side; return the exit code, 1 where any failed."""
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        running = {threads.submit(_timed, build): name for name, build in wanted.items()}
        for future in as_completed(running):
            name = running[future]
            if error := future.exception():
                failed.append(name)
                print(f"{name} could not be built: {error}", file=sys.stderr, flush=True)
            elif (seconds := future.result()) > LONG_S:
                print(f"{name} is there after {seconds:.0f} s", file=sys.stderr, flush=True)
    if failed:
        print(f"Not built: {', '.join(sorted(failed))}. `make test-fast` needs none of this.", file=sys.stderr)
    return 1 if failed else 0


def _timed(build):
    begin = time.monotonic()
    build()
    return time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(build_everything(parts()))
