"""selection-job: run or check a SelectionRun manifest.

selection-job run FILE.yaml     train (optional), embed, select and report
selection-job check FILE.yaml   only say whether the manifest is right

Exit codes: 0 done, 2 the manifest is wrong, 3 the data can't be used, 4 storage refused, 75 try again.
"""

import argparse
import logging
import sys
from pathlib import Path

from selection_api import ExitCode
from selection_job.errors import JobError
from selection_job.manifest import read_manifest


def main(arguments: list[str] | None = None) -> int:
    """Carry out the command line and return the exit code."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        run = read_manifest(options.manifest)
        if options.command == "check":
            print(f"{options.manifest} is a valid SelectionRun: {run.metadata.name}")
            return ExitCode.DONE
        from selection_job.running import run_manifest  # imports torch: only once the manifest is known to be right

        return run_manifest(run)
    except JobError as error:
        print(f"selection-job: {error}", file=sys.stderr)
        return error.exit_code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "selection-job", description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("manifest", type=Path, metavar="FILE.yaml")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
