"""Record what runs write: the SHA-256 of every file of eight small runs, to tell whether a change changes an output.

python tests/compat/record_digests.py OUT.json [--trees FOLDER]   OUT.json may be left out: then to standard output
python tests/compat/record_digests.py --compare BEFORE.json AFTER.json

The runs are those of small_inputs.py: quickstart, given embeddings, predictions with BALANCE and THRESHOLD, objects,
videos, sequences, a datapool twice, random. Recorded are their inputs, everything in the lightly datasource afterwards
(report.json, PDF and HTML included), what is printed, and the termination message. --trees keeps the files themselves,
so that a difference can be looked at. --compare names the files that differ, and ends with 1 where there are any. It
takes two minutes of CPU time, of which UMAP's compiling and importing torch take most.

The same code on the same machine gives the same digests, whatever folder is the temporary one; another processor and
other versions of the libraries give other ones. What would vary is fixed, and no field is left out:

paths       the report, the run's id and the exports hold them: the runs lie in FOLDER, which is emptied first; a second
            recording waits for the first
time        the wall clock, the clock of the stages, UMAP's seconds, CPU time (frozen_time.py); the PDF holds no date
            and an id made of its content
versions    a local file's is its time of change: every input has the same one
threads     one for numbers, two that read
hostname    and process ids stand in locks alone, which are gone after a run

The log is not recorded: its lines come from several threads.
"""

import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

FOLDER = Path("/tmp/selection-digests")
FIXED = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


def record(trees):
    """Make all runs and return {run: {file: SHA-256}}."""
    os.environ.update(FIXED)  # before numpy and torch are imported
    os.environ.pop("SELECTION_KERNELS", None)  # kernels for a common processor round differently
    sys.path.insert(0, str(Path(__file__).parent))
    from frozen_time import freeze
    from small_inputs import RUNS

    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(FOLDER.with_suffix(".lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(FOLDER, ignore_errors=True)
        clocks = freeze()
        for name, steps in RUNS.items():
            for number, prepare in enumerate(steps):
                print(f"{name}: {prepare.__doc__}", file=sys.stderr, flush=True)
                run(FOLDER / name, prepare, clocks, number)
        digests = {name: digest_tree(FOLDER / name) for name in RUNS}
        if trees:
            shutil.copytree(FOLDER, trees)
        shutil.rmtree(FOLDER)
    return digests


def run(folder, prepare, clocks, number):
    """Prepare a run's folder and make the run, which leaves what it says beside its files."""
    from small_inputs import put, settle

    from selection_job.__main__ import main

    manifest = folder / f"manifest-{number}.json"
    put(folder, {manifest.name: prepare(folder)})
    settle(folder)
    clocks.begin()
    message, said = folder / f"termination-message-{number}.json", io.StringIO()
    message.touch()
    with contextlib.redirect_stdout(said):
        exit_code = main(["run", str(manifest)], termination_message=message)
    if exit_code:
        sys.exit(f"{manifest}: exit code {exit_code}")
    put(folder, {f"printed-{number}.txt": said.getvalue()})


def digest_tree(folder):
    """Return {file: SHA-256} of all files in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def compare(before, after):
    """Return a line for each file that differs between two recordings."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        for path in sorted({*old, *new}):
            if old.get(path) != new.get(path):
                word = "changed" if path in old and path in new else "gone" if path in old else "new"
                lines.append(f"{word:8}{name}/{path}")
    return lines


def main():
    """Record, or compare two recordings; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, metavar="OUT.json")
    parser.add_argument("--trees", type=Path, metavar="FOLDER", help="keep the files there; it must not exist yet")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE.json", "AFTER.json"))
    options = parser.parse_args()
    if options.compare:
        lines = compare(*(json.loads(path.read_bytes()) for path in options.compare))
        print(*lines, f"{len(lines)} files differ.", sep="\n")
        return int(bool(lines))
    if options.trees and options.trees.exists():
        parser.error(f"{options.trees} exists")
    text = json.dumps(record(options.trees), indent=1, sort_keys=True) + "\n"
    if options.out:
        options.out.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
