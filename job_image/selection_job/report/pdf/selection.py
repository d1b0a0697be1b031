"""The PDF's part on the selection itself: what each strategy did, and how many images a radius needs."""

from pathlib import Path
from typing import Any

from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer

from selection_job.report.pdf import style
from selection_job.report.pdf.parts import captioned_plot, name, paragraph, section, subsection, table
from selection_job.report.wording import count, noun_of, plural, retell, share

JsonObject = dict[str, Any]

MOST_CLASSES = 15
"""Classes of a BALANCE in the PDF; report.json has all."""

_SETS = ("input", "selected", "random")


def make_selection_section(report: JsonObject, plots: Path) -> list[Flowable]:
    """Return the strategies with what each achieved, and the coverage curve."""
    selection, noun = report["selectionInformation"], noun_of(report)
    return [
        section(f"How the {noun}s were selected"),
        *describe_strategies(selection, noun),
        *_say_pool(report),
        *_coverage(selection, plots, noun),
    ]


def describe_strategies(selection: JsonObject, noun: str) -> list[Flowable]:
    """Return what each strategy did, and the classes of each BALANCE.

    selection  selectionInformation, or objectLevelInformation
    noun       what was selected: image or object
    """
    strategies = selection["strategies"]
    by_chance = (
        [paragraph(f"The {noun}s were taken in a random order: no strategy ranks them.")]
        if selection["method"] == "random"
        else []
    )
    if not strategies:
        return by_chance
    words = (
        f"What each strategy measures, for all {noun}s that took part, for the selected ones, and for a random choice "
        "of as many: what lies between the last two is what all strategies together changed. Several strategies "
        "are combined into one product, so that each gives way to the others a little."
    )
    rows = [
        [
            name(entry["name"]),
            "–" if entry["strength"] is None else f"{entry['strength']:g}",
            entry["measure"],
            *[_measure(entry[which]) for which in _SETS],
        ]
        for entry in strategies
    ]
    widths = [52 * mm, 18 * mm, style.TEXT_WIDTH - 124 * mm, 18 * mm, 18 * mm, 18 * mm]
    head = ["strategy", "strength", "measure", *_SETS]
    return [
        *by_chance,
        Paragraph(words, style.BODY),
        table(head, rows, widths, numbers=3),
        Spacer(1, 2 * mm),
        *[paragraph(_say_filtered(entry, selection, noun)) for entry in strategies if "nPassing" in entry],
        *_balances(strategies),
    ]


def _measure(value: float | None) -> str:
    """Return four digits, or a dash.

    >>> _measure(0.123456), _measure(12345.6), _measure(None)
    ('0.1235', '1.235e+04', '–')
    """
    return "–" if value is None else f"{value:.4g}"


def _say_filtered(entry: JsonObject, selection: JsonObject, noun: str) -> str:
    passing = plural(entry["nPassing"], noun)
    return f"{entry['name']}: {passing} pass. All thresholds together keep {count(selection['nFiltered'])} out."


def _balances(strategies: list[JsonObject]) -> list[Flowable]:
    parts: list[Flowable] = []
    for entry in strategies:
        if "classes" in entry:
            words = Paragraph(_explain_shares(entry["name"]), style.SMALL)
            parts.append(KeepTogether([subsection(entry["name"]), *_classes(entry["classes"]), words]))
    return parts


def _explain_shares(name: str) -> str:
    """Say why the shares of a BALANCE are not those of the bars that count classes."""
    among = "The shares are among the classes that the strategy balances"
    if not name.startswith("BALANCE on PREDICTIONS"):
        return f"{among}; the bars of the metadata count every value."
    return (
        f"{among}. An object counts by its probabilities where its prediction has them. So the shares differ from the "
        "bars of the classes, where each object counts once, for the class it is predicted as."
    )


def _say_pool(report: JsonObject) -> list[Flowable]:
    """Return a line on what the sets leave out, where earlier runs selected something and a strategy counts it in."""
    has_pool = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nPreselectedDatapool"] > 0
    if not has_pool or not any("classes" in entry for entry in report["selectionInformation"]["strategies"]):
        return []
    words = (
        "What earlier runs selected counts towards each target of a BALANCE, but not in the shares above: these are of "
        "this run's selection alone, and may miss a target that both together meet."
    )
    return [Paragraph(words, style.SMALL)]


def _classes(classes: list[JsonObject]) -> list[Flowable]:
    shown = sorted(classes, key=lambda one: -max(one[which] or 0.0 for which in ("target", *_SETS)))[:MOST_CLASSES]
    columns = ("target", *_SETS)
    rows = [[name(one["name"], 80), *[share(one[column] or 0.0, 1) for column in columns]] for one in shown]
    widths = [style.TEXT_WIDTH - 88 * mm, *[22 * mm] * 4]
    left_out = len(classes) - len(shown)
    more = [Paragraph(f"{count(left_out)} more in report.json.", style.SMALL)] if left_out else []
    return [table(["class", *columns], rows, widths, numbers=4), *more]


def _coverage(selection: JsonObject, plots: Path, noun: str) -> list[Flowable]:
    coverage = selection["coverage"]
    heading = subsection(f"How many {noun}s does a radius need?")
    if not coverage["isExact"]:
        return [heading, paragraph(coverage["whyUnknown"])]
    of_what = "that pass every THRESHOLD " if selection["nFiltered"] else ""
    words = retell(
        f"The radius is the distance of the farthest of all images {of_what}to its nearest selected one. Images are in "
        "the order of choice, so a smaller selection is the beginning of the list, and the numbers are exact.",
        noun,
    )
    rows = [[f"{line['radius']:g}", count(line["nImages"])] for line in coverage["imagesForRadius"]]
    caption = f"How to read: where the line is flat, more {noun}s bring little. The number axis is logarithmic."
    drawn = captioned_plot(plots / "coverage.png", 152 * mm, caption)
    return [
        KeepTogether([heading, Paragraph(words, style.BODY), *drawn]),
        Spacer(1, 2 * mm),
        table(["for a radius of", f"{noun}s needed"], rows, [40 * mm, 40 * mm], numbers=1),
    ]
