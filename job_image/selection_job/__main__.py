"""selection-job: run or check a SelectionRun manifest, or convert an encoder.

selection-job run FILE           train (optional), embed, select and report
selection-job check FILE ...     only say whether manifests are right: files, folders (-R: and below), - for standard
                                 input; other kinds of objects among them are passed over
selection-job convert-encoder FOLDER
                                 make a safetensors file of the pickle in an encoder's folder on this machine

Exit codes: 0 done, 2 the manifest is wrong, 3 the data can't be used, 4 storage refused, 75 try again.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selection_api import ExitCode, SelectionRun
from selection_job.checking import check_manifests
from selection_job.errors import IncompleteInstallation, JobError, Stopped, StopRequest
from selection_job.manifest.reading import identify_run, read_manifest
from selection_job.process.progress import Progress
from selection_job.process.stopping import stop_on_signals
from selection_job.process.termination_message import TERMINATION_MESSAGE, TerminationMessage
from selection_job.stores.local.folders import check_folders


def main(arguments: list[str] | None = None, *, termination_message: Path = TERMINATION_MESSAGE) -> int:
    """Carry out the command line, leave the last word and return the exit code.

    Anything unexpected passes, with its traceback.
    """
    options = _parse(arguments)
    _set_up_log()
    progress = Progress()
    word = TerminationMessage(termination_message, progress)
    try:
        with stop_on_signals(progress, _end_by_force(word)):
            return _carry_out(options, progress, word)
    except (JobError, StopRequest) as error:
        failure = error if isinstance(error, JobError) else _stopped(str(error))
        word.leave_error(failure)
        print(f"selection-job: {failure}", file=sys.stderr)
        return failure.exit_code
    except BaseException as error:
        word.leave_error(error)
        raise


def _carry_out(options: argparse.Namespace, progress: Progress, word: TerminationMessage) -> int:
    if options.command == "check":
        return check_manifests(options.manifests, recursive=options.recursive, digest=options.digest)
    if options.command == "convert-encoder":
        return _convert(options.folder)
    run = read_manifest(options.manifest, digest=options.digest)
    word.run_id = identify_run(run)
    word.leave_preliminary()
    check_folders(run.spec.datasources)
    return _import_run_manifest()(run, progress, word)


def _convert(folder: Path) -> int:
    """Convert an encoder's pickle, and say what was written."""
    with _explain_missing_packages("convert-encoder"):
        from selection_job.encoder.folders.converting import convert_encoder
    path = convert_encoder(folder)
    print(f"Wrote {path} ({path.stat().st_size / 1e6:,.1f} MB). Upload it beside the configuration; the pickle stays.")
    return ExitCode.DONE


def _import_run_manifest() -> Callable[[SelectionRun, Progress, TerminationMessage], int]:
    """Return what runs a manifest. It imports torch: only once the manifest is right and its folders are there."""
    with _explain_missing_packages("run"):
        from selection_job.running import run_manifest
    return run_manifest


@contextmanager
def _explain_missing_packages(command: str) -> Iterator[None]:
    """Tell a package that is not installed as an extra that was left out."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("selection_api", "selection_job")):
            raise
        raise IncompleteInstallation(
            f"`selection-job {command}` needs the extra 'job', and {error.name} is not installed: "
            "pip install 'selection-operator[job]'"
        ) from error


def _stopped(signal_name: str) -> Stopped:
    return Stopped(f"Stopped by {signal_name}. Finished stages are kept: the same command goes on from there.")


def _end_by_force(word: TerminationMessage) -> Callable[[str], None]:
    """Return what ends the process when something, such as a hanging storage, keeps a stop from coming to its end."""

    def end(signal_name: str) -> None:
        failure = _stopped(signal_name)
        word.leave_error(failure)
        print(f"selection-job: {failure} Something did not end in time and was cut off.", file=sys.stderr, flush=True)
        os._exit(failure.exit_code)

    return end


def _set_up_log() -> None:
    """Log to standard error: the time of day on a terminal, date and time in UTC for whoever reads it later."""
    on_terminal = sys.stderr.isatty()
    formatter = logging.Formatter(
        "%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S" if on_terminal else "%Y-%m-%dT%H:%M:%SZ"
    )
    formatter.converter = time.localtime if on_terminal else time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("selection_job").setLevel(logging.INFO)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "selection-job", description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="say which version this is")
    commands = parser.add_subparsers(dest="command", required=True, metavar="run | check | convert-encoder")
    run = commands.add_parser("run", help="carry out the one SelectionRun of a file")
    run.add_argument("manifest", type=Path, metavar="FILE", help="YAML or JSON; - for standard input")
    check = commands.add_parser("check", help="only say whether manifests are right")
    check.add_argument("manifests", type=Path, nargs="+", metavar="FILE", help="or a folder; - for standard input")
    check.add_argument("-R", "--recursive", action="store_true", help="look into the folders of folders too")
    convert = commands.add_parser("convert-encoder", help="make safetensors of a pickle in a local folder")
    convert.add_argument("folder", type=Path, metavar="FOLDER", help="with pytorch_model.bin, a *.pt or a *.pth")
    for command in (run, check):
        command.add_argument(
            "--digest",
            metavar="sha256:HEX",
            help="refuse the file, with exit code 2, where its bytes have another SHA-256",
        )
    options = parser.parse_args(arguments)
    if options.command == "check" and options.digest is not None and len(options.manifests) > 1:
        parser.error("--digest is that of one file")
    return options


class _Version(argparse.Action):
    """Print the version and end; it is looked up only when someone asks."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"selection-job {version('selection-operator')}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
