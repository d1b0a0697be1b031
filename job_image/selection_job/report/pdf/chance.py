"""The first page's comparison of the selection with a random choice of the same size."""

from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import bar, paragraph
from selection_job.report.wording import count, measure, noun_of, plural

JsonObject = dict[str, Any]


def compare_with_chance(report: JsonObject) -> list[Flowable]:
    """Return the comparison with a random choice of the same size, in a sentence and in bars."""
    information = report["datasetAnalysis"]["embeddingInformation"]
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    cover, nearest = information["distanceToCoverInput"], information["distanceToNearestNeighborInSet"]
    heading, noun = Paragraph("Compared with a random choice of the same size", style.SUBSECTION), noun_of(report)
    if not sizes["nRemoved"]:
        return [heading, paragraph(f"Every usable {noun} was kept, so there is no other choice to compare with.")]
    selected, chance = cover["selected"]["metrics"], cover["random"]["metrics"]
    rows = [
        (f"Farthest {noun} from a labelled one", selected["max"], chance["max"], "smaller is better"),
        (f"Typical {noun} from a labelled one (mean)", selected["mean"], chance["mean"], "smaller is better"),
    ]
    if nearest["selected"]["metrics"] and nearest["random"]["metrics"]:
        medians = (nearest[which]["metrics"]["median"] for which in ("selected", "random"))
        rows.append((f"Labelled {noun}s from each other (median)", *medians, "larger is better"))
    largest = max(max(first, second) for _, first, second, _ in rows)
    lines = [_compare_row(*row, largest) for row in rows]
    widths = [66 * mm, 58 * mm, style.TEXT_WIDTH - 124 * mm]
    return [
        KeepTogether([heading, Table(lines, colWidths=widths, style=style.TABLE, hAlign="LEFT"), _key(cover, noun)])
    ]


def _compare_row(words: str, selected: float, chance: float, direction: str, largest: float) -> list[Any]:
    both = ((selected, style.SELECTED), (chance, style.RANDOM))
    bars = [bar(value, largest, 52 * mm, color, 5) for value, color in both]
    numbers = Paragraph(f"{measure(selected)} selected<br/>{measure(chance)} random", style.CELL)
    label = Paragraph(f'{words}<br/><font color="#64707d" size="7">{direction}</font>', style.CELL)
    return [label, [Spacer(1, 3), bars[0], Spacer(1, 3), bars[1]], numbers]


def _key(cover: JsonObject, noun: str) -> Paragraph:
    measured, every = cover["random"]["nMeasured"], cover["random"]["nAll"]
    seen = f"over all {noun}s" if measured == every else f"over a random {count(measured)} of {plural(every, noun)}"
    return Paragraph(
        f"Distances between embeddings, measured {seen} that took part in the selection: "
        "0 means that the network sees no difference.",
        style.SMALL,
    )
