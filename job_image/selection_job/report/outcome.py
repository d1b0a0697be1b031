"""Outcome: what became of the input and what ended the selection, in words: the first page's and the terminal's."""

from dataclasses import dataclass
from typing import Any

from selection_job.manifest.noun import OBJECT, SEQUENCE, Noun, agree
from selection_job.report.wording import count, noun_of

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Rest:
    """A part of the input that was not selected, with the one reason that holds for all of it."""

    number: int
    kind: str
    """corrupt, duplicate, removed, or what kept it out: a KeptOut's cause."""
    of_one: str
    """What is true of one image: "is an exact copy"."""
    of_many: str
    tile: str
    """The same below a number."""

    def say(self, number: int) -> str:
        """Return what is true of so many."""
        return self.of_one if number == 1 else self.of_many


def list_rest(report: JsonObject) -> list[Rest]:
    """Return what became of all that was not selected: corrupt, copies, kept out by a filter, removed; also where none.

    They are in the order in which a run looks. Of a filter there is a part only where it kept something out. Their
    numbers and nSelected add up to nInput.
    """
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    kept_out = count_kept_out(report["selectionInformation"])
    n_removed = sizes["nRemoved"] - sum(kept_out.values())
    n_copies = sizes["nDuplicate"]
    copy = "exact copy of another" if n_copies == 1 else "exact copies of another"
    of_one, of_many, removed = _explain_removed(report)
    return [
        Rest(sizes["nCorrupt"], "corrupt", "can't be used", "can't be used", "corrupt: can't be used"),
        Rest(n_copies, "duplicate", "is an exact copy", "are exact copies", copy),
        *(Rest(number, cause, *_explain_kept_out(report, cause)) for cause, number in kept_out.items()),
        Rest(n_removed, "removed", of_one, of_many, removed if n_removed else "removed: none"),
    ]


def count_kept_out(level: JsonObject) -> dict[str, int]:
    """Return how many each cause kept out of a choice. Reports before 1.4 don't tell these apart."""
    numbers: dict[str, int] = {}
    if "keptOut" not in level:
        cause = "THRESHOLD" if level.get("sequenceLength", 1) == 1 else "NO_SEQUENCE"
        return {cause: level["nFiltered"]} if level["nFiltered"] else {}
    for one in level["keptOut"]:
        numbers[one["cause"]] = numbers.get(one["cause"], 0) + one["number"]
    return numbers


def _explain_kept_out(report: JsonObject, cause: str) -> tuple[str, str, str]:
    if cause == "MIN_COUNTS":
        few = "too few objects for min_counts"
        return f"has {few}", f"have {few}", few
    if cause == "NO_OBJECT":
        none = "no object to choose from"
        return f"has {none}", f"have {none}", none
    if cause == "NO_SEQUENCE":
        none = "in no sequence to choose from"
        return f"lies {none}", f"lie {none}", none
    if "objectLevelInformation" in report:
        none = "no object that passes every THRESHOLD"
        return f"has {none}", f"have {none}", none
    if "sequenceInformation" in report:
        out = "in a sequence that does not pass a THRESHOLD"
        return f"lies {out}", f"lie {out}", "in a sequence filtered out by a THRESHOLD"
    return "does not pass a THRESHOLD", "do not pass a THRESHOLD", "filtered out by a THRESHOLD"


def _explain_removed(report: JsonObject) -> tuple[str, str, str]:
    """Say why others were taken. A radius is a number to judge by, where "alike" would be a promise."""
    selection = report["selectionInformation"]
    if "objectLevelInformation" in report:
        none = "no object that was chosen"
        return f"has {none}", f"have {none}", f"removed: {none}"
    if selection["method"] == "coreset":
        near = f"within {selection['coverRadius']:.3g} of a selected one"
        return f"lies {near}", f"lie {near}", f"removed: {near}"
    if selection["method"] == "random":
        if selection["stoppedBy"] == "min_distance":
            near = "nearer to a selected one than min_distance"
            return f"lies {near}", f"lie {near}", f"removed: {near}"
        return "was not drawn", "were not drawn", "removed: not drawn"
    ranking = [entry for entry in chosen_level(report)[0]["strategies"] if entry["type"] != "THRESHOLD"]
    less = f"worth less to {'the strategies together' if len(ranking) > 1 else 'the strategy'}"
    return f"is {less}", f"are {less}", "removed: not chosen"


_ENDINGS = {
    "n_samples": "the number of {nouns} asked for was reached",
    "min_distance": "every other {noun} is nearer to a selected one than the smallest distance asked for",
    "all candidates selected": "there was no further {noun}",
    "no row left": "every further {noun} would leave a target_range",
    "max_sum": "the values of the selected {nouns} add up to stopping_condition_max_sum",
    "least_value": "the next {noun} is less typical than stopping_condition_minimum_typicality",
}

_FILTERS = {"THRESHOLD": "every THRESHOLD", "MIN_COUNTS": "min_counts"}


def explain_ending(report: JsonObject) -> str:
    """Return what ended the selection, to stand behind "because"; of what was chosen: objects, sequences or images."""
    level, noun = chosen_level(report)
    ending = str(level["stoppedBy"])
    passing = f" that passes {filters}" if (filters := name_filters(level)) else ""
    return _ENDINGS.get(ending, ending).format(noun=f"{noun.singular}{passing}", nouns=noun.plural)


def name_filters(level: JsonObject) -> str:
    """Return what kept something out of a choice, to stand behind "pass"; '' where nothing did."""
    causes = count_kept_out(level)
    return " and ".join(words for cause, words in _FILTERS.items() if cause in causes)


def chosen_level(report: JsonObject) -> tuple[JsonObject, Noun]:
    """Return the part of the report on what was chosen one by one, and what it is called."""
    for key, noun in (("objectLevelInformation", OBJECT), ("sequenceInformation", SEQUENCE)):
        if key in report:
            return report[key], noun
    return report["selectionInformation"], noun_of(report)


def say_ending(report: JsonObject) -> str:
    """Return a sentence with how many were asked for and are kept, and what ended the selection.

    Sequences are asked for by their frames.
    """
    level, noun, why = *chosen_level(report), explain_ending(report)
    if "sequenceInformation" in report:
        level, noun = report["selectionInformation"], noun_of(report)
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    n_kept = level.get("nSelected", sizes["nSelected"])
    n_asked = level.get("nAsked")
    if n_asked is None:
        return f"The selection ended because {why}{_name_condition(level)}."
    asked = f"{noun.count_with(n_asked, 'were')} asked for"
    return f"{asked}, {count(n_kept)} {agree(n_kept, 'are')} kept: {why}{_name_condition(level)}."


def _name_condition(level: JsonObject) -> str:
    return " (min_distance)" if level["stoppedBy"] == "min_distance" else ""
