"""Folders with something wrong in them end with a sentence, or load: quickly, in bounded memory, never a traceback.

SELECTION_MUTATED_FOLDERS=1000 tries that many; docs/encoders.md has the count of the last time.
"""

import os
import re
import warnings
from pathlib import Path

import pytest
from mutated_folders import mutate, try_folder, write_originals

pytestmark = pytest.mark.usefixtures("no_way_out")

TRIED = int(os.environ.get("SELECTION_MUTATED_FOLDERS", "100"))
MOST_SECONDS = 10
MOST_BYTES = 2 * 1024**3


def _peak_bytes():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def test_mutated_folders_end_with_a_sentence_or_load(tmp_path, capsys):
    originals = write_originals(tmp_path / "originals")
    for original in originals:
        assert try_folder(original.parent, original.name)[0] == "", original.name
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, loaded, slowest, wrong = _peak_bytes(), 0, (0.0, ""), []
    for seed in range(TRIED):
        done = f"{seed} {mutate(originals[seed % len(originals)], tmp_path / 'mutated', seed)}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # libraries warn of what they then refuse
                sentence, seconds = try_folder(tmp_path, "mutated")
        except Exception as error:
            wrong.append(f"{done}: {type(error).__name__}: {error}")
            continue
        slowest = max(slowest, (seconds, done))
        loaded += not sentence
        if sentence and not re.match(r"spec\.workerConfig\.encoder: \S+: .{10,1500}$|The text '", sentence):
            wrong.append(f"{done}: {sentence!r}")
    grown = _peak_bytes() - before
    with capsys.disabled():
        if TRIED > 100:
            print(f"\n{TRIED} folders: {loaded} loaded; slowest {slowest[0]:.1f} s; {grown / 1e6:.0f} MB more at most")
    assert wrong == []
    assert loaded < TRIED / 2
    assert slowest[0] <= MOST_SECONDS, slowest
    assert grown <= MOST_BYTES
