"""The section on sequences: what was chosen among them, and how many a radius needs."""

from pathlib import Path
from typing import Any

from selection_job.manifest.noun import SEQUENCE
from selection_job.report.blocks.blocks import Block
from selection_job.report.blocks.parts import paragraph, section
from selection_job.report.outcome import name_filters
from selection_job.report.sections.selection import ask_for_radius, describe_strategies, say_candidates, show_radii
from selection_job.report.wording import count, measure, plural

JsonObject = dict[str, Any]


def say_sequences(report: JsonObject) -> str:
    """Return how many sequences the selected frames make up, to go into a sentence; '' for single images."""
    level = report.get("sequenceInformation")
    return f", in {plural(level['nSelected'], SEQUENCE)} of {count(level['length'])}," if level else ""


def make_sequence_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return the strategies with what each achieved among sequences; nothing where the run selected single images."""
    level = report.get("sequenceInformation")
    if level is None:
        return []
    words = (
        f"The run cut each video, or each folder of images, into sequences of {count(level['length'])} frames. It "
        f"chose {count(level['nSelected'])} of {say_candidates(level, SEQUENCE)}, each by the mean of its "
        f"frames' embeddings. The farthest sequence from a chosen one lies {measure(level['coverRadius'])} away, "
        f"a typical one {measure(level['coverMean'])}."
    )
    return [
        section("How the sequences were selected"),
        paragraph(words),
        paragraph(
            "Everything else in this report counts and compares single frames; the random choice beside them is one of "
            "whole sequences too."
        ),
        *[paragraph(sentence) for sentence in _say_left_out(level)],
        *describe_strategies(level, SEQUENCE),
        *_radii(level, plots),
    ]


def _say_left_out(level: JsonObject) -> list[str]:
    left_out, length = level["leftOut"], count(level["length"])
    causes = (
        (left_out["nFramesInRests"], "Frames in no sequence", f"fewer than {length} in a row were left"),
        (left_out["nFramesBesideCorrupt"], "Frames in no sequence", "another frame of it is corrupt"),
        (level["nDuplicate"], "Sequences left out", "they are exact copies of another"),
    )
    return [f"{what}, because {why}: {count(number)}." for number, what, why in causes if number]


def _radii(level: JsonObject, plots: Path) -> list[Block]:
    if not level["sequencesForRadius"]:
        words = "Known after each sequence for DIVERSITY on EMBEDDINGS alone (method coreset)."
        return [ask_for_radius(SEQUENCE), paragraph(words)]
    of_what = f"that pass {filters} " if (filters := name_filters(level)) else ""
    words = (
        f"The radius is the distance of the farthest of all sequences {of_what}to its nearest selected one, after so "
        "many sequences in the order of choice. The numbers are exact."
    )
    lines = [(line["radius"], line["nSequences"]) for line in level["sequencesForRadius"]]
    return show_radii(words, lines, plots, SEQUENCE)
