"""The section on the selection itself: what each strategy did, and how many images a radius needs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from selection_job.catalog.image_names import quote_some
from selection_job.manifest.noun import Noun, agree
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, Heading, KeepTogether, Look, Space
from selection_job.report.blocks.parts import captioned_plot, name, paragraph, section, subsection, table
from selection_job.report.measures.value_sets import SETS
from selection_job.report.outcome import name_filters
from selection_job.report.wording import count, four_digits, noun_of, plural, share

JsonObject = dict[str, Any]

MOST_CLASSES = 15
"""Classes of a BALANCE that are shown; report.json has all."""


def make_selection_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return the strategies with what each achieved, and the coverage curve."""
    selection, noun = report["selectionInformation"], noun_of(report)
    return [
        section(f"How the {noun.plural} were selected"),
        *describe_strategies(selection, noun),
        *_say_pool(report),
        *_coverage(selection, plots, noun),
    ]


def describe_strategies(selection: JsonObject, noun: Noun) -> list[Block]:
    """Return what each strategy did, and the classes of each BALANCE.

    selection  selectionInformation, or objectLevelInformation
    noun       what was selected
    """
    strategies = selection["strategies"]
    by_chance: list[Block] = []
    if selection["method"] == "random":
        by_chance.append(paragraph(f"The {noun.plural} were taken in a random order: no strategy ranks them."))
    if not strategies:
        return by_chance
    words = (
        f"What each strategy measures, for all {noun.plural} that could be chosen, for the selected ones, and for a "
        "random choice of as many: what lies between the last two is what "
    )
    if len(strategies) == 1:
        words += "the strategy changed."
    else:
        words += (
            "all strategies together changed. Several strategies are combined into one product, so that each gives way "
            "to the others a little."
        )
    if any("nPassing" in entry for entry in strategies):
        words += " The input of a threshold is all that it looked at."
    rows = [
        [
            name(entry["name"]),
            "–" if entry["strength"] is None else f"{entry['strength']:g}",
            entry["measure"],
            *[four_digits(entry[which]) for which in SETS],
        ]
        for entry in strategies
    ]
    widths = [52 * MM, 18 * MM, TEXT_WIDTH - 124 * MM, 18 * MM, 18 * MM, 18 * MM]
    head = ["strategy", "strength", "measure", *SETS]
    return [
        *by_chance,
        paragraph(words),
        table(head, rows, widths, numbers=3),
        Space(2 * MM),
        *[paragraph(_say_filtered(entry, selection, noun)) for entry in strategies if "nPassing" in entry],
        *_balances(selection),
    ]


def say_candidates(level: JsonObject, noun: Noun) -> str:
    """Return how many could be chosen: "12 sequences", or "8 sequences that pass every THRESHOLD"."""
    number = level["nCandidates"] - level["nFiltered"]
    passing = f" that {agree(number, 'pass')} {filters}" if (filters := name_filters(level)) else ""
    return f"{plural(number, noun)}{passing}"


def _say_filtered(entry: JsonObject, selection: JsonObject, noun: Noun) -> str:
    passing = noun.count_with(entry["nPassing"], "pass")
    n = selection["nFiltered"]
    return f"{entry['name']}: {passing}. All thresholds together keep {count(n) if n else 'none'} out."


def say_filtered(report: JsonObject) -> list[Block]:
    """Return a line on what no figure is about, where a filter kept something out."""
    number, noun = report["selectionInformation"]["nFiltered"], noun_of(report)
    if not number:
        return []
    words = (
        f"{plural(number, noun)} that a filter kept out before anything was chosen (filtered in data/selection.csv) "
        f"{agree(number, 'count')} for nothing here: input is what could be chosen, and the random "
        "choice is one among these."
    )
    return [paragraph(words, Look.SMALL)]


def _balances(selection: JsonObject) -> list[Block]:
    parts: list[Block] = []
    for entry in selection["strategies"]:
        if "classes" in entry:
            words = paragraph(" ".join(_explain_shares(entry, selection)), Look.SMALL)
            parts.append(KeepTogether((subsection(entry["name"]), *_classes(entry["classes"]), words)))
    return parts


def _explain_shares(entry: JsonObject, selection: JsonObject) -> Iterator[str]:
    """Yield why the shares of a BALANCE are not those of the bars that count classes, and why a class has no target."""
    among = "The shares are among the classes that the strategy balances"
    if entry["name"].startswith("BALANCE on PREDICTIONS"):
        yield (
            f"{among}. An object counts by its probabilities where its prediction has them, but whole for its best "
            "category in a zero-shot task. So the shares may differ from the bars of the classes, where each object "
            "counts once, for the class it is predicted as."
        )
    else:
        yield f"{among}; the bars of the metadata count every value."
    if selection["nFiltered"] and entry.get("distribution") == "INPUT":
        yield "INPUT aims at the shares among all that took part, those that a THRESHOLD kept out as well."
    missing = [one["name"] for one in entry["classes"] if one["target"] is None]
    if missing:
        yield (
            f"Nothing that could be chosen has any of {quote_some(missing)}: no target (–), and the targets of the "
            "other classes are scaled up to 100%."
        )


def _say_pool(report: JsonObject) -> list[Block]:
    """Return a line on what the sets leave out, where earlier runs selected something and a strategy counts it in."""
    has_pool = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nPreselectedDatapool"] > 0
    if not has_pool or not any("classes" in entry for entry in report["selectionInformation"]["strategies"]):
        return []
    words = (
        "What earlier runs selected counts towards each target of a BALANCE, but not in the shares above: these are of "
        "this run's selection alone, and may miss a target that both together meet."
    )
    return [paragraph(words, Look.SMALL)]


def _classes(classes: list[JsonObject]) -> list[Block]:
    shown = sorted(classes, key=lambda one: -max(one[which] or 0.0 for which in ("target", *SETS)))[:MOST_CLASSES]
    columns = ("target", *SETS)
    rows: list[list[Block | str]] = [
        [name(one["name"], 80), *["–" if one[column] is None else share(one[column], 1) for column in columns]]
        for one in shown
    ]
    widths = [TEXT_WIDTH - 88 * MM, *[22 * MM] * 4]
    left_out = len(classes) - len(shown)
    more = [paragraph(f"{count(left_out)} more in report.json.", Look.SMALL)] if left_out else []
    return [table(["class", *columns], rows, widths, numbers=4), *more]


def _coverage(selection: JsonObject, plots: Path, noun: Noun) -> list[Block]:
    coverage = selection["coverage"]
    if not coverage["isExact"]:
        return [ask_for_radius(noun), paragraph(coverage["whyUnknown"])]
    of_what = f"that pass {filters} " if (filters := name_filters(selection)) else ""
    words = (
        f"The radius is the distance of the farthest of all {noun.plural} {of_what}to its nearest selected one. "
        f"{noun.plural.capitalize()} are in the order of choice, so a smaller selection is the beginning of the list, "
        "and the numbers are exact."
    )
    return show_radii(words, [(line["radius"], line["nImages"]) for line in coverage["imagesForRadius"]], plots, noun)


def ask_for_radius(noun: Noun) -> Heading:
    """Return the heading above what is known of radii."""
    return subsection(f"How many {noun.plural} does a radius need?")


def show_radii(words: str, lines: Iterable[tuple[float, int]], plots: Path, noun: Noun) -> list[Block]:
    """Return the coverage curve, and a table of radii with the number that reaches each."""
    caption = f"How to read: where the line is flat, more {noun.plural} bring little. The number axis is logarithmic."
    rows = [[f"{radius:g}", count(number)] for radius, number in lines]
    return [
        KeepTogether((ask_for_radius(noun), paragraph(words), captioned_plot(plots / "coverage.png", caption))),
        Space(2 * MM),
        table(["for a radius of", f"{noun.plural} needed"], rows, [40 * MM, 40 * MM], numbers=1),
    ]
