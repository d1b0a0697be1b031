"""The section on the job: what ran, on what, and how long each stage took."""

from typing import Any

from selection_job.manifest.noun import IMAGE, VIDEO
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, Look, Space
from selection_job.report.blocks.parts import bar, facts_table, name, paragraph, section, subsection, table
from selection_job.report.outcome import explain_ending
from selection_job.report.plots.drawing import INPUT
from selection_job.report.wording import count, duration, size

JsonObject = dict[str, Any]


def make_job_section(report: JsonObject) -> list[Block]:
    """Return what ran, on what, and how long each stage took."""
    general = report["generalInformation"]
    run, worker = general["runInformation"], general["workerInformation"]
    credentials = run["credentials"]
    rows = [
        ("Run", run["runName"]),
        ("Input", run["inputUrl"]),
        ("Results", run["runUrl"]),
        ("Credentials", f"input: {credentials['input']}; results: {credentials['lightly']}"),
        ("Started", run["startTimestamp"].replace("T", " ")),
        ("Results complete", _describe_end(run)),
        ("Device", worker["device"]),
        *_describe_reading(report),
        ("Selection", _describe_selection(report)),
        ("Seed", run["seed"]),
    ]
    return [
        section("Job information"),
        facts_table(rows),
        *_stage_table(run),
        subsection("Versions"),
        name(" · ".join(f"{package} {version}" for package, version in worker["versions"].items()), 1000),
    ]


def _describe_end(run: JsonObject) -> str:
    taken = duration(run["totalProcessingTimeS"])
    return f"{run['endTimestamp'].replace('T', ' ')}, {taken} after the start; drawing this report came after that"


def _describe_reading(report: JsonObject) -> list[tuple[str, str]]:
    run, medium = report["generalInformation"]["runInformation"], VIDEO if "videoInformation" in report else IMAGE
    source = _describe_encoder(run["encoder"], report["selectionInformation"]["embeddingDimensions"])
    if not report["corruptImages"]["areChecked"]:
        return [("Read", "no image: embeddings were given"), ("Vectors", source)]
    reread = f", each {medium.singular} once"
    if run["bytesReread"]:
        reread = f", of these {size(run['bytesReread'])} a second time"
    rows = [("Read", f"{size(run['bytesRead'])}{reread}"), ("Encoder", source), ("Decoder", run["decoder"])]
    if "preprocessing" in run["encoder"]:
        rows.insert(2, ("It sees", run["encoder"]["preprocessing"]))
    return rows


def _describe_encoder(encoder: JsonObject, dimensions: int) -> str:
    """Say what embeds: 'EfficientNet-Lite0 (built in, licence Apache-2.0), 128 dimensions'."""
    licence = f", licence {encoder['licence']}" if "licence" in encoder else ""
    named = f"{encoder['name']} ({encoder['source']}{licence})" if "name" in encoder else encoder["source"]
    return f"{named}, {count(dimensions)} dimensions"


def _describe_selection(report: JsonObject) -> str:
    selection = report["selectionInformation"]
    vectors = "embeddings of unit length" if selection["normalizeEmbeddings"] else "embeddings as they are"
    if selection["sequenceLength"] > 1:
        scaled = "scaled to unit length" if selection["normalizeEmbeddings"] else "as they are"
        vectors = f"sequences of {count(selection['sequenceLength'])} frames, by the means of their embeddings {scaled}"
    if "objectLevelInformation" in report:
        selection = report["objectLevelInformation"]
        vectors = f"{vectors}, of the objects of {selection['task']}"
    return f"{selection['method']} on {vectors}; it ended because {explain_ending(report)}"


def _stage_table(run: JsonObject) -> list[Block]:
    stages = run["stages"]
    if not stages:
        return []
    longest = max(stage["seconds"] for stage in stages)
    rows = [
        [
            stage["stage"].replace("_", " ").lower(),
            bar(stage["seconds"], longest, 70 * MM, INPUT),
            duration(stage["seconds"]),
        ]
        for stage in stages
    ]
    widths = [62 * MM, 78 * MM, TEXT_WIDTH - 140 * MM]
    note = f"Making the UMAP maps of this report took {duration(run['umapSeconds'])} besides."
    return [
        subsection("Time per stage"),
        table(["stage", "", "wall time"], rows, widths, numbers=1),
        Space(3),
        paragraph(note, Look.SMALL),
    ]
