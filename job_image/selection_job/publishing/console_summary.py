"""The closing words of a run on the terminal: what came in, what was kept and why, how long it took, where it lies."""

from collections.abc import Mapping
from typing import Any

from selection_api import RunSummary, Stage
from selection_job.manifest.medium import Medium
from selection_job.manifest.noun import VIDEO, agree
from selection_job.report.outcome import list_rest, say_ending
from selection_job.report.plots.fonts import shorten
from selection_job.report.wording import share

JsonObject = dict[str, Any]

MOST_NOTES = 12
"""Notes that are printed; the report has all."""

_NOTE_LENGTH = 600


def console_summary(summary: RunSummary, report: JsonObject, stage_seconds: Mapping[str, float], medium: Medium) -> str:
    """Return the summary for people, some twenty lines; every number and note of it is the report's.

    report  report.json, of this version or of an earlier one
    """
    parts = [
        _counts(report, medium),
        [*_unusable_videos(report), f"  {say_ending(report)}"],
        _notes(report["notes"]),
        _times(stage_seconds, medium.file_noun.plural),
        _places(summary),
    ]
    return "\n".join(line for part in parts if part for line in ("", *part)) + "\n"


def _counts(report: JsonObject, medium: Medium) -> list[str]:
    """Return a line for each part of the input; of corrupt ones and copies also where there are none."""
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    n_input, n_selected = sizes["nInput"], sizes["nSelected"]
    noun, files = medium.noun.form(n_input), medium.file_noun.plural
    came_in = f"{noun} of {files} {agree(n_input, 'were')} looked at"
    rows = [(n_input, came_in if medium.has_many_per_file else f"{noun} came in")]
    for part in list_rest(report):
        if part.number or part.kind in ("corrupt", "duplicate"):
            rows.append((part.number, part.say(part.number)))
    selection = report["selectionInformation"]
    is_drawn = selection["method"] == "random" and sizes["nRemoved"] > selection["nFiltered"]
    rows.append((n_selected, f"{agree(n_selected, 'are')} {'chosen at random' if is_drawn else 'worth labelling'}"))
    lines = [f"  {number:>9,}  {words}" for number, words in rows]
    lines[-1] += f"  ({share(n_selected, n_input)})"
    return lines


def _unusable_videos(report: JsonObject) -> list[str]:
    """Return a sentence on the videos that took no part, which the counts of frames don't tell."""
    corrupt = report.get("videoInformation", {}).get("corruptVideos", {"total": 0})
    if not corrupt["total"]:
        return []
    kinds = ", ".join(f"{_make_printable(kind)}: {number:,}" for kind, number in corrupt["kinds"].items())
    why = "filenames/corrupt_videos.txt lists them, the report says why"
    return [f"  {VIDEO.count(corrupt['total'])} can't be used at all ({shorten(kinds, _NOTE_LENGTH)}): {why}."]


def _notes(notes: list[str]) -> list[str]:
    """Return the report's notes, a line each, safe for any terminal."""
    lines = [f"  - {shorten(_make_printable(note), _NOTE_LENGTH)}" for note in notes[:MOST_NOTES]]
    more = len(notes) - len(lines)
    return [*lines, f"  - and {more:,} more: see Notes in the report"] if more > 0 else lines


def _make_printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _times(stage_seconds: Mapping[str, float], files: str) -> list[str]:
    if not stage_seconds.keys() - {
        Stage.INITIALIZING,
        Stage.LOADING_DATASET,
    }:  # a finished run is recognised by its listing
        return [f"  This run had finished before, over the same {files}: nothing was done again."]
    longest = max(stage_seconds.values())
    lines = [
        f"  {stage:<32} {seconds:>8.1f} s  {'▇' * max(1, round(24 * seconds / longest))}"
        for stage, seconds in stage_seconds.items()
    ]
    return [*lines, f"  {'in all':<32} {sum(stage_seconds.values()):>8.1f} s"]


def _places(summary: RunSummary) -> list[str]:
    outputs = summary.outputs
    if outputs is None:
        return []
    return [
        f"  Report   {outputs.report_pdf}",
        f"  To label {outputs.selected_filenames}",
        f"  All      {outputs.path}",
    ]
