"""The section on metadata, classes and scores: what the selection did to them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from selection_api.legacy_selection import PRETAGGING_TASK
from selection_job.manifest.noun import OBJECT, Noun
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, KeepTogether, PageBreak, Space
from selection_job.report.blocks.parts import (
    bold,
    captioned_plot,
    name,
    paragraph,
    say,
    section,
    shown,
    subsection,
    table,
)
from selection_job.report.measures.value_sets import SETS
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.plots.source_figures import list_plots
from selection_job.report.sections.objects import make_box_examples, make_detector_pictures
from selection_job.report.wording import count, four_digits, noun_of, share

JsonObject = dict[str, Any]

_MOST_SHARES = 10


def make_source_sections(report: JsonObject, plots: Path, thumbnail: Thumbnail) -> list[Block]:
    """Return the sections on metadata and on each task; nothing where the run looked at neither."""
    parts: list[Block] = []
    metadata, tasks = report["datasetAnalysis"]["metadataInformation"], report["predictionTaskInformation"]
    if metadata["nKeys"] or tasks:
        parts += [
            section("Metadata, classes and scores"),
            paragraph(
                "Grey is what could be chosen, orange what is selected, blue a random choice of the same size: where "
                "orange leaves blue, the selection has changed the mixture."
            ),
        ]
    parts += _numbers_table(_list_numbers(report))
    for i, (task, described) in enumerate(tasks.items()):
        parts += _describe_task(task, described, plots, i, noun_of(report))
        parts += make_box_examples(described, thumbnail, noun_of(report))
    for file_name, drawn in list_plots(report).items():
        if file_name.startswith(("metadata_", "scores_")):
            caption = f"{drawn.heading}: input, selection and random choice."
            parts.append(captioned_plot(plots / file_name, caption))
    if PRETAGGING_TASK in tasks:
        parts += make_detector_pictures(plots.parent / "data" / "bounding_boxes_examples")
    return [*parts, PageBreak()] if parts else []


def _list_numbers(report: JsonObject) -> Iterable[tuple[str, JsonObject]]:
    metadata = report["datasetAnalysis"]["metadataInformation"]
    yield from metadata["lightlyNumeric"].items()
    yield from metadata["customNumeric"].items()
    for task, described in report["predictionTaskInformation"].items():
        for score, values in described["activeLearningScoreDistributions"].items():
            yield f"{score} of {task}", values


def _numbers_table(entries: Iterable[tuple[str, JsonObject]]) -> list[Block]:
    rows: list[list[Block | str]] = []
    for key, values in entries:
        means = [(values[which]["metrics"] or {}).get("mean") for which in SETS]
        spans = values["input"]["metrics"] or {}
        rows.append([name(key, 80), *[four_digits(spans.get(end)) for end in ("min", "max")], *map(four_digits, means)])
    if not rows:
        return []
    widths = [TEXT_WIDTH - 110 * MM, *[22 * MM] * 5]
    head = ["mean value of", "smallest", "largest", *SETS]
    return [subsection("Numbers"), table(head, rows, widths, numbers=5), Space(3 * MM)]


def _describe_task(task: str, described: JsonObject, plots: Path, place: int, noun: Noun) -> list[Block]:
    classes, with_file = described["categoryDistribution"], described["nImagesWithPredictions"]
    objects = {which: sum(classes[which]["counts"]) + classes[which]["nOther"] for which in SETS}
    evenness = {which: classes[which]["metrics"]["normalizedEntropy"] for which in SETS}
    rows = [
        [f"{noun.plural} with predictions", *[count(with_file[which]) for which in SETS]],
        [OBJECT.plural, *[count(objects[which]) for which in SETS]],
        ["evenness of classes (entropy, 1 is even)", *[four_digits(evenness[which]) for which in SETS]],
    ]
    widths = [TEXT_WIDTH - 78 * MM, *[26 * MM] * 3]
    made_from = " made from prompts" if "zeroShot" in described else ""
    words = f"{described['taskType']}{made_from}, classes: {count(described['nCategories'])}"
    parts: list[Block] = [
        KeepTogether((subsection(f"Task {task}"), paragraph(words), table(["", *SETS], rows, widths, numbers=3))),
        *_say_certainty(described, noun),
        Space(2 * MM),
        captioned_plot(plots / f"classes_{place}.png", "Share of each class among the objects."),
    ]
    if task == PRETAGGING_TASK:
        for when, where in (("before", "all images that could be chosen"), ("after", "the selected images")):
            path = plots / f"pretagging_histogram_{when}.png"
            parts.append(captioned_plot(path, f"Objects that the detector found on {where}."))
    return parts


def _say_certainty(described: JsonObject, noun: Noun) -> list[Block]:
    """Return how a zero-shot task sees the whole input, and where it may tell nothing apart; nothing of other tasks."""
    if "zeroShot" not in described:
        return []
    found = described["zeroShot"]
    ranked = sorted(found["shares"].items(), key=lambda one: -one[1])
    told = ", ".join(f"{category} {share(part, 1)}" for category, part in ranked[:_MOST_SHARES])
    more = f", and {count(len(ranked) - _MOST_SHARES)} more" if len(ranked) > _MOST_SHARES else ""
    words = (
        f"Of all {noun.plural} of the input: {told}{more}. Mean entropy of the probabilities: "
        f"{four_digits(found['meanEntropy'])} (0 is sure, 1 knows nothing)."
    )
    remark: list[Block] = [say(bold(shown(found["remark"])))] if "remark" in found else []
    return [Space(2 * MM), paragraph(words), *remark]
