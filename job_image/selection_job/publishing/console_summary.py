"""The closing words of a run on the terminal: what came in, what was kept and why, how long it took, where it lies."""

from collections.abc import Mapping

from selection_api import RunSummary, Stage
from selection_job.manifest.medium import Medium


def console_summary(summary: RunSummary, stage_seconds: Mapping[str, float], medium: Medium) -> str:
    """Return the summary for people, some fifteen lines."""
    nouns, files = medium.noun.plural, medium.file_noun.plural
    came_in = f"{nouns} of {files} were looked at" if medium.has_many_per_file else f"{nouns} came in"
    counts, times = _counts(summary, came_in), _times(stage_seconds, files)
    return "\n".join(["", *counts, "", *times, "", *_places(summary), ""])


def _counts(summary: RunSummary, came_in: str) -> list[str]:
    counts = summary.counts
    if counts is None:
        return []
    rows = [
        (came_in, counts.input),
        ("can't be read", counts.corrupt),
        ("are exact copies of another", counts.duplicate),
        ("lie close to one that is kept", counts.removed),
        ("are worth labelling", counts.selected),
    ]
    share = 100 * counts.selected / max(counts.input, 1)
    lines = [f"  {count:>9,}  {words}" for words, count in rows]
    lines[-1] = f"{lines[-1]}  ({share:.1f}%)"
    return lines


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
