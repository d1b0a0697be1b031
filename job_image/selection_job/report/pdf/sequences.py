"""The PDF's part on sequences: what was chosen among them, and how many a radius needs."""

from pathlib import Path
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import captioned_plot, paragraph, section, subsection, table
from selection_job.report.pdf.selection import describe_strategies
from selection_job.report.wording import count, measure, plural

JsonObject = dict[str, Any]


def say_sequences(report: JsonObject) -> str:
    """Return how many sequences the selected frames make up, to go into a sentence; '' for single images."""
    level = report.get("sequenceInformation")
    return f", in {plural(level['nSelected'], 'sequence')} of {count(level['length'])}," if level else ""


def make_sequence_section(report: JsonObject, plots: Path) -> list[Flowable]:
    """Return the strategies with what each achieved among sequences; nothing where the run selected single images."""
    level = report.get("sequenceInformation")
    if level is None:
        return []
    words = (
        f"The run cut each video, or each folder of images, into sequences of {count(level['length'])} frames. It "
        f"chose {count(level['nSelected'])} of {plural(level['nCandidates'], 'sequence')}, each by the mean of its "
        f"frames' embeddings. The farthest sequence from a chosen one lies {measure(level['coverRadius'])} away, "
        f"a typical one {measure(level['coverMean'])}."
    )
    return [
        section("How the sequences were selected"),
        Paragraph(words, style.BODY),
        paragraph(
            "Everything else in this report counts and compares single frames; the random choice beside them is one of "
            "whole sequences too."
        ),
        *[paragraph(sentence) for sentence in _say_left_out(level)],
        *describe_strategies(level, "sequence"),
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


def _radii(level: JsonObject, plots: Path) -> list[Flowable]:
    heading = subsection("How many sequences does a radius need?")
    if not level["sequencesForRadius"]:
        return [heading, paragraph("Known after each sequence for DIVERSITY on EMBEDDINGS alone (method coreset).")]
    of_what = "that pass every THRESHOLD " if level["nFiltered"] else ""
    words = (
        f"The radius is the distance of the farthest of all sequences {of_what}to its nearest selected one, after so "
        "many sequences in the order of choice. The numbers are exact."
    )
    rows = [[f"{line['radius']:g}", count(line["nSequences"])] for line in level["sequencesForRadius"]]
    caption = "How to read: where the line is flat, more sequences bring little. The number axis is logarithmic."
    drawn = captioned_plot(plots / "coverage.png", 152 * mm, caption)
    return [
        KeepTogether([heading, Paragraph(words, style.BODY), *drawn]),
        Spacer(1, 2 * mm),
        table(["for a radius of", "sequences needed"], rows, [40 * mm, 40 * mm], numbers=1),
    ]
