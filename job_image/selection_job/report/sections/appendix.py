"""The last sections: what was wrong with the input, the estimates with their factors, settings and notes."""

import math
from collections.abc import Iterator
from typing import Any

from selection_job.manifest.noun import Noun, agree
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, Look, PageBreak, Space
from selection_job.report.blocks.parts import (
    bold,
    facts_table,
    name,
    paragraph,
    say,
    say_rest,
    section,
    subsection,
    table,
)
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.fonts import shorten
from selection_job.report.sections.groups import make_copies
from selection_job.report.wording import count, dollars, noun_of, plural

JsonObject = dict[str, Any]

_MOST_ROWS = 60  # of file names: more belong into the lists under filenames/
_MOST_KINDS = 12
_MOST_SETTINGS = 300
_MOST_DECIMALS = 12
_MOST_NOTES = 100

_SAME = {"bytes": "the same bytes", "pixels": "the same pixels", "vectors": "the same vector"}

_TASKS = {
    "imageClassification": "Image classification",
    "objectDetection": "Object detection",
    "semanticSegmentation": "Semantic segmentation",
}


def make_input_sections(report: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    """Return the corrupt images with their reasons, and the exact copies."""
    is_by_sequence = report["selectionInformation"]["sequenceLength"] > 1
    noun = noun_of(report)
    copies = _duplicate_section(report["exactDuplicates"], thumbnail, noun, is_by_sequence=is_by_sequence)
    return [Space(6 * MM), PageBreak(80 * MM), *_corrupt_section(report["corruptImages"], noun), *copies]


def _corrupt_section(corrupt: JsonObject, noun: Noun) -> list[Block]:
    heading = section(f"Corrupt {noun.plural}")
    if not corrupt["areChecked"]:
        words = "Not looked for: embeddings were given, so no image was opened for the selection."
        return [heading, paragraph(words)]
    if not corrupt["total"]:
        return [heading, paragraph(f"Every {noun.singular} could be read and decoded in full.")]
    kinds = "; ".join(
        f"{shorten(kind, 60)}: {count(number)}" for kind, number in list(corrupt["kinds"].items())[:_MOST_KINDS]
    )
    rows = [[name(entry["filename"], 90), name(entry["reason"], 240)] for entry in corrupt["images"][:_MOST_ROWS]]
    return [
        heading,
        paragraph(f"{plural(corrupt['total'], noun)} can't be used and took no part. {kinds}."),
        table(["file", "why"], rows, [85 * MM, TEXT_WIDTH - 85 * MM]),
        *say_rest(corrupt["total"] - len(rows), "filenames/corrupt_filenames.txt"),
    ]


def _duplicate_section(
    duplicates: JsonObject, thumbnail: Thumbnail, noun: Noun, *, is_by_sequence: bool
) -> list[Block]:
    heading = [Space(6 * MM), PageBreak(50 * MM), section("Exact copies")]
    same = _SAME[duplicates["comparedBy"]]
    if not duplicates["total"]:
        return [*heading, paragraph(f"No two {noun.plural} have {same}.")]
    fate = "were left out; the first by name stays" if duplicates["areRemoved"] else "took part, as the settings say"
    fate = "took part: only sequences are left out, where each of their frames has a copy" if is_by_sequence else fate
    shown = duplicates["images"][:_MOST_ROWS]
    rows = [[name(entry["filename"], 90), name(entry["duplicateOf"], 90)] for entry in shown]
    return [
        *heading,
        paragraph(f"{plural(duplicates['total'], noun)} with {same} as another one {fate}."),
        *make_copies(duplicates["groups"], thumbnail, noun),
        subsection("All copies"),
        table(["file", f"{same} as"], rows, [85 * MM, TEXT_WIDTH - 85 * MM]),
        *say_rest(
            duplicates["total"] - len(rows), "report.json" if is_by_sequence else "filenames/duplicate_filenames.txt"
        ),
    ]


def make_savings_section(report: JsonObject) -> list[Block]:
    """Return the estimates of labelling cost and CO2, each with the factors it comes from."""
    savings, noun = report["annotationSavings"], noun_of(report)
    tasks = [(words, savings[key]) for key, words in _TASKS.items() if key in savings]
    n = savings["nImagesNotLabelled"]
    what = (
        f"What is saved where the {count(n)} readable {noun.form(n)} that the run did not select "
        f"{agree(n, 'get')} no labels."
        if n
        else f"Every readable {noun.singular} was selected: there is no label to save, only what the run itself took."
    )
    words = say(
        f"{what} These are ",
        bold("estimates"),
        f": numbers of {noun.plural} times the factors below. Set workerConfig.report to factors of your own.",
    )
    blocks: list[Block] = [Space(6 * MM), PageBreak(110 * MM), section("Estimated savings"), words]
    if tasks and n:
        costs = [[task, dollars(saved["costSavings"], whole_from=math.inf)] for task, saved in tasks]
        blocks.append(table(["labelling task", "cost saved (estimate)"], costs, [70 * MM, 50 * MM], numbers=1))
    if "co2" in savings:
        blocks += [Space(4 * MM), _co2_table(savings["co2"], is_any_saved=n > 0), paragraph(explain_energy(savings))]
    rows = [
        [
            name(factor["name"]),
            f"{factor['value']:g}",
            "you" if factor["isSetByUser"] else "default",
            paragraph(factor["meaning"], Look.CELL_MUTED),
        ]
        for factor in savings["factors"]
    ]
    widths = [62 * MM, 14 * MM, 16 * MM, TEXT_WIDTH - 92 * MM]
    return [*blocks, subsection("Factors"), table(["factor", "value", "set by", "meaning and source"], rows, widths)]


def explain_energy(savings: JsonObject) -> str:
    """Return how the run's own electricity is known."""
    co2, factors = savings["co2"], {factor["name"]: factor["value"] for factor in savings["factors"]}
    gpu = "no GPU was measured"
    if "gpuKwh" in co2:
        gpu = f"{_amount(co2['gpuKwh'])} kWh measured by the GPU's own counter, whoever used it"
    return (
        f"This run: {co2['cpuSeconds']:,.0f} s of CPU time at {factors['cpu_watts_per_core']:g} W a core (estimate); "
        f"{gpu}. Times {factors['power_usage_effectiveness']:g} for the data centre."
    )


def _co2_table(co2: JsonObject, *, is_any_saved: bool) -> Block:
    amounts = {"This run": (co2["computeKwh"], co2["computeKg"])}
    if is_any_saved:
        amounts = {
            "Labelling that is not done": (co2["labellingKwh"], co2["labellingKg"]),
            "This run": (-co2["computeKwh"], -co2["computeKg"]),
            "Saved": (co2["labellingKwh"] - co2["computeKwh"], co2["netKg"]),
        }
    rows = [[words, *map(_amount, both)] for words, both in amounts.items()]
    return table(["electricity and CO2 (estimate)", "kWh", "kg CO2e"], rows, [70 * MM, 25 * MM, 25 * MM], numbers=2)


def _amount(value: float) -> str:
    """Return kWh or kg; small runs use so little that three decimals would all be 0.

    >>> _amount(1234.5678), _amount(0.0363), _amount(-0.0000816)
    ('1,234.568', '0.0363', '-0.0000816')
    """
    n_decimals = 3 if abs(value) >= 1 or value == 0 else 2 - math.floor(math.log10(abs(value)))
    text = f"{value:,.{min(n_decimals, _MOST_DECIMALS)}f}"
    return text.rstrip("0").rstrip(".") if abs(value) < 1 else text


def make_notes_section(report: JsonObject) -> list[Block]:
    """Return what the run noticed on its way."""
    notes = report["notes"]
    if not notes:
        return []
    shown = [paragraph(f"•  {note}") for note in notes[:_MOST_NOTES]]
    more = say_rest(len(notes) - len(shown), "report.json")
    return [Space(6 * MM), PageBreak(30 * MM), section("Notes"), *shown, *more]


def make_settings_section(report: JsonObject) -> list[Block]:
    """Return the settings that the user wrote, one a line."""
    rows = list(_flatten(report["settings"]["overrides"]))
    shown = [(path, value) for path, value in rows[:_MOST_SETTINGS]]
    table_or_words = (
        table(
            ["setting", "value"],
            [[name(path, 200), name(value, 300)] for path, value in shown],
            [90 * MM, TEXT_WIDTH - 90 * MM],
        )
        if shown
        else paragraph("Nothing was set: every setting has its default.")
    )
    return [
        Space(6 * MM),
        PageBreak(60 * MM),
        section("Settings"),
        paragraph("What the manifest says. config/config.yaml has these with every default filled in."),
        table_or_words,
        *say_rest(len(rows) - len(shown), "config/overrides.yaml"),
        Space(4 * MM),
        facts_table(
            [("Encoder fingerprint", report["generalInformation"]["runInformation"]["encoder"]["fingerprint"])]
        ),
    ]


def _flatten(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf with its path: spec.workerConfig.method. A list is a leaf unless it holds objects."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            yield from _flatten(item, f"{path}[{i}]")
    elif path:
        yield path, _say(value)


def _say(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(_say(item) for item in value)}]"
    return str(value)
