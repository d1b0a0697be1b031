"""The PDF's first part: what came in, what was chosen, how it compares with chance, and how the job went."""

from typing import Any

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table

from selection_job.report.pdf import style
from selection_job.report.pdf.chance import compare_with_chance
from selection_job.report.pdf.parts import (
    bar,
    facts_table,
    markup,
    name,
    section,
    subsection,
    table,
    thumbnail_image,
)
from selection_job.report.pdf.sequences import say_sequences
from selection_job.report.pdf.videos import say_sampling
from selection_job.report.plots.drawing import Thumbnail
from selection_job.report.wording import count, dollars, duration, noun_of, plural, retell, share, size

JsonObject = dict[str, Any]

_STOP_WORDS = {
    "n_samples": "the number of images asked for was reached",
    "min_distance": "every other image is nearer to a selected one than the smallest distance asked for",
    "all candidates selected": "there was no further image",
    "no row left": "every further image would leave a target_range",
    "max_sum": "the values of the selected images add up to stopping_condition_max_sum",
    "least_value": "the next image is less typical than stopping_condition_minimum_typicality",
}


def make_cover(report: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
    """Return the first page: one sentence, the counts, the comparison with a random choice, the first images chosen."""
    general = report["generalInformation"]
    sizes, run = general["datasetInformation"]["datasetSizes"], general["runInformation"]
    return [
        Spacer(1, 8 * mm),
        Paragraph("SELECTION REPORT", style.OVERLINE),
        Paragraph(markup(general["datasetInformation"]["datasetName"], 60), style.TITLE),
        Spacer(1, 2 * mm),
        name(f"Run {run['runId']} · finished {run['endTimestamp'].replace('T', ' ')}"),
        Spacer(1, 9 * mm),
        Paragraph(_headline(report) + _say_pool(sizes, noun_of(report)) + _say_videos(report), style.LEAD),
        Spacer(1, 2 * mm),
        _stacked_bar(sizes, report["selectionInformation"]),
        Spacer(1, 4 * mm),
        _tiles(sizes, report["selectionInformation"], "looked at" if "videoInformation" in report else "came in"),
        Spacer(1, 9 * mm),
        *compare_with_chance(report),
        *_savings_in_short(report["annotationSavings"]),
        *_first_selected(report["selectionInformation"], thumbnail, noun_of(report)),
    ]


def _headline(report: JsonObject) -> str:
    sizes, noun = report["generalInformation"]["datasetInformation"]["datasetSizes"], noun_of(report)
    selection = report["selectionInformation"]
    n, k = sizes["nInput"], sizes["nSelected"]
    verb = "is" if k == 1 else "are"
    if not sizes["nRemoved"]:
        return f"<b>{count(k)}</b> of {plural(n, noun)} {verb} worth labelling: every usable {noun} was kept."
    n_all = f"{plural(n, noun)} ({share(k, n)}){say_sequences(report)}"
    if selection["method"] == "random":
        is_filtered = selection["nFiltered"] and selection["sequenceLength"] == 1
        among = " among those that pass every THRESHOLD" if is_filtered else ""
        return f"<b>{count(k)}</b> of {n_all} {verb} chosen for labelling, at random{among}."
    others = f"other {noun}" if n - k == 1 else f"other {count(n - k)}"
    rest = f"The {others} {_why_not(sizes, selection)}."
    return f"<b>{count(k)}</b> of {n_all} {verb} worth labelling first. {rest}"


def _say_videos(report: JsonObject) -> str:
    """Say of a run over videos how many there are, how many can't be used, and how many have selected frames."""
    information = report.get("videoInformation")
    if information is None:
        return ""
    sizes = report["generalInformation"]["datasetInformation"]["videoLevelSizes"]
    n, n_corrupt, k = sizes["nInput"], sizes["nCorrupt"], sizes["nSelected"]
    broken = f", {count(n_corrupt)} of which can't be used at all" if n_corrupt else ""
    return (
        f" The frames come from {plural(n, 'video')}{broken}; the run looked at {say_sampling(information)}. The "
        f"selected ones come from {plural(k, 'video')}."
    )


def _say_pool(sizes: JsonObject, noun: str) -> str:
    n = sizes["nPreselectedDatapool"]
    they_add = "It adds" if sizes["nSelected"] == 1 else "They add"
    return f" {they_add} to {plural(n, noun)} that {'was' if n == 1 else 'were'} selected before." if n else ""


def _why_not(sizes: JsonObject, selection: JsonObject) -> str:
    """Return the reasons that there are, one of which holds for each image that was not selected."""
    is_one = sizes["nInput"] - sizes["nSelected"] == 1
    are, lie, do = ("is", "lies", "does") if is_one else ("are", "lie", "do")
    others = f"{lie} within {_radius(selection)} of a selected one"
    if selection["method"] != "coreset":
        others = f"{are} worth less to the strategies together"
    filtered = (
        f"{do} not pass a THRESHOLD" if selection["sequenceLength"] == 1 else f"{lie} in no sequence to choose from"
    )
    numbers = {
        "can't be used": sizes["nCorrupt"],
        "is an exact copy" if is_one else "are exact copies": sizes["nDuplicate"],
        filtered: selection["nFiltered"],
        others: sizes["nRemoved"] - selection["nFiltered"],
    }
    reasons = [words for words, number in numbers.items() if number]
    return " or ".join([*([", ".join(reasons[:-1])] if reasons[1:] else []), reasons[-1]])


def _radius(selection: JsonObject) -> str:
    """Return the covering radius: a number to judge by, where "alike" would be a promise."""
    return f"{selection['coverRadius']:.3g}"


def _parts(sizes: JsonObject, selection: JsonObject) -> list[tuple[int, str, Color]]:
    n_filtered = selection["nFiltered"]
    why = f"within {_radius(selection)} of a selected one" if selection["method"] == "coreset" else "not chosen"
    words = "filtered out by a THRESHOLD" if selection["sequenceLength"] == 1 else "in no sequence to choose from"
    filtered = [(n_filtered, words, style.FILTERED)] if n_filtered else []
    copies = "exact copies of another"
    return [
        (sizes["nSelected"], "selected for labelling", style.SELECTED),
        (sizes["nRemoved"] - n_filtered, f"removed: {why}", style.INPUT),
        *filtered,
        (sizes["nDuplicate"], "exact copy of another" if sizes["nDuplicate"] == 1 else copies, style.DUPLICATE),
        (sizes["nCorrupt"], "corrupt: can't be used", style.CORRUPT),
    ]


def _stacked_bar(sizes: JsonObject, selection: JsonObject) -> Drawing:
    """Draw the input as one bar in its parts; a part that is not empty is never too thin to see."""
    drawn = Drawing(style.TEXT_WIDTH, 16)
    parts = [(number, color) for number, _, color in _parts(sizes, selection) if number]
    least = 2.5
    unit = (style.TEXT_WIDTH - least * len(parts)) / max(sum(number for number, _ in parts), 1)
    left = 0.0
    for number, color in parts:
        width = least + unit * number
        drawn.add(Rect(left, 0, width, 16, fillColor=color, strokeColor=style.WHITE, strokeWidth=0.8))
        left += width
    return drawn


def _tiles(sizes: JsonObject, selection: JsonObject, first: str) -> Table:
    tiles = [(sizes["nInput"], first, style.PAPER), *_parts(sizes, selection)]
    cells = []
    for number, words, color in tiles:
        swatch = Drawing(22, 4)
        swatch.add(Rect(0, 0, 22, 3, fillColor=color, strokeColor=None))
        cells.append([swatch, Paragraph(_fit(number), style.TILE_NUMBER), Paragraph(words, style.TILE_WORDS)])
    return Table([cells], colWidths=[style.TEXT_WIDTH / len(cells)] * len(cells), style=style.PLAIN, hAlign="LEFT")


def _fit(number: int) -> str:
    """Return a count in letters small enough for a tile."""
    text = count(number)
    return text if len(text) <= 7 else f'<font size="{19 * 7 / len(text):.1f}">{text}</font>'


def _savings_in_short(savings: JsonObject) -> list[Flowable]:
    costs = [
        f"{dollars(savings[key]['costSavings'])} for {words}"
        for key, words in (
            ("imageClassification", "classes"),
            ("objectDetection", "boxes"),
            ("semanticSegmentation", "segments"),
        )
        if key in savings
    ]
    if not costs or not savings["nImagesNotLabelled"]:
        return []
    text = f"Not labelling the rest saves an estimated {', '.join(costs)}. Factors: see Estimated savings."
    return [Spacer(1, 4 * mm), Paragraph(text, style.BODY)]


def _first_selected(selection: JsonObject, thumbnail: Thumbnail, noun: str) -> list[Flowable]:
    """Return thumbnails of the first images chosen: with coreset they are the most different ones."""
    side, columns = 19 * mm, 8
    pictures = [thumbnail_image(thumbnail, file_name, side) for file_name in selection["firstSelected"][: 2 * columns]]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    rows[-1] += [""] * (columns - len(rows[-1]))
    grid = Table(
        rows,
        colWidths=[style.TEXT_WIDTH / columns] * columns,
        rowHeights=[side + 2 * mm] * len(rows),
        style=style.PLAIN,
        hAlign="LEFT",
    )
    words = f"The first {noun}s to label, in the order of choice" if len(pictures) > 1 else f"The {noun} to label"
    return [KeepTogether([Paragraph(words, style.SUBSECTION), Spacer(1, 1 * mm), grid])]


def make_job_section(report: JsonObject) -> list[Flowable]:
    """Return what ran, on what, and how long each stage took."""
    general, selection = report["generalInformation"], report["selectionInformation"]
    run, worker = general["runInformation"], general["workerInformation"]
    rows = [
        ("Run", run["runName"]),
        ("Input", run["inputUrl"]),
        ("Results", run["runUrl"]),
        ("Credentials", _describe_credentials(run["credentials"])),
        ("Started", run["startTimestamp"].replace("T", " ")),
        ("Finished", f"{run['endTimestamp'].replace('T', ' ')}, after {duration(run['totalProcessingTimeS'])}"),
        ("Device", worker["device"]),
        *_describe_reading(report),
        ("Selection", _describe_selection(selection, noun_of(report))),
        ("Seed", run["seed"]),
    ]
    return [
        section("Job information"),
        facts_table(rows),
        *_stage_table(run),
        subsection("Versions"),
        name(" · ".join(f"{package} {version}" for package, version in worker["versions"].items()), 1000),
    ]


def _describe_reading(report: JsonObject) -> list[tuple[str, str]]:
    run, medium = report["generalInformation"]["runInformation"], "video" if noun_of(report) == "frame" else "image"
    source = f"{run['encoder']['source']}, {report['selectionInformation']['embeddingDimensions']} dimensions"
    if not report["corruptImages"]["areChecked"]:
        return [("Read", "no image: embeddings were given"), ("Vectors", source)]
    reread = f", of these {size(run['bytesReread'])} a second time" if run["bytesReread"] else f", each {medium} once"
    return [("Read", f"{size(run['bytesRead'])}{reread}"), ("Encoder", source), ("Decoder", run["decoder"])]


def _describe_credentials(credentials: JsonObject) -> str:
    return f"input: {credentials['input']}; results: {credentials['lightly']}"


def _describe_selection(selection: JsonObject, noun: str) -> str:
    vectors = "embeddings of unit length" if selection["normalizeEmbeddings"] else "embeddings as they are"
    if selection["sequenceLength"] > 1:
        scaled = "scaled to unit length" if selection["normalizeEmbeddings"] else "as they are"
        vectors = f"sequences of {count(selection['sequenceLength'])} frames, by the means of their embeddings {scaled}"
    ending = str(selection["stoppedBy"])
    why = retell(_STOP_WORDS.get(ending, ending), noun)
    return f"{selection['method']} on {vectors}; it ended because {why}"


def _stage_table(run: JsonObject) -> list[Flowable]:
    stages = run["stages"]
    if not stages:
        return []
    longest = max(stage["seconds"] for stage in stages)
    rows = [
        [
            stage["stage"].replace("_", " ").lower(),
            bar(stage["seconds"], longest, 70 * mm, style.INPUT),
            duration(stage["seconds"]),
        ]
        for stage in stages
    ]
    widths = [62 * mm, 78 * mm, style.TEXT_WIDTH - 140 * mm]
    note = f"Making the UMAP maps of this report took {duration(run['umapSeconds'])} besides."
    return [
        subsection("Time per stage"),
        table(["stage", "", "wall time"], rows, widths, numbers=1),
        Spacer(1, 3),
        Paragraph(note, style.SMALL),
    ]
