"""The PDF's first part: what came in, what was chosen, how it compares with chance, and how the job went."""

from typing import Any

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, Spacer, Table

from selection_job.report import pdf_style as style
from selection_job.report.drawing import Thumbnail
from selection_job.report.pdf_parts import (
    bar,
    facts_table,
    markup,
    name,
    paragraph,
    section,
    subsection,
    table,
    thumbnail_image,
)
from selection_job.report.wording import count, duration, measure, plural, share, size

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
        Paragraph(_headline(sizes, report["selectionInformation"]) + _say_pool(sizes), style.LEAD),
        Spacer(1, 2 * mm),
        _stacked_bar(sizes, report["selectionInformation"]),
        Spacer(1, 4 * mm),
        _tiles(sizes, report["selectionInformation"]),
        Spacer(1, 9 * mm),
        *_compare_with_chance(report),
        *_savings_in_short(report["annotationSavings"]),
        *_first_selected(report["selectionInformation"], thumbnail),
    ]


def _headline(sizes: JsonObject, selection: JsonObject) -> str:
    n, k = sizes["nInput"], sizes["nSelected"]
    verb = "is" if k == 1 else "are"
    if not sizes["nRemoved"]:
        return f"<b>{count(k)}</b> of {plural(n, 'image')} {verb} worth labelling: every usable image was kept."
    if selection["method"] == "random":
        among = " among those that pass every THRESHOLD" if selection["nFiltered"] else ""
        return (
            f"<b>{count(k)}</b> of {plural(n, 'image')} ({share(k, n)}) {verb} chosen for labelling, at random{among}."
        )
    rest = f"The other {count(n - k)} can't be used, {_why_not(selection)}."
    return f"<b>{count(k)}</b> of {plural(n, 'image')} ({share(k, n)}) {verb} worth labelling first. {rest}"


def _say_pool(sizes: JsonObject) -> str:
    n = sizes["nPreselectedDatapool"]
    return f" They add to {plural(n, 'image')} that earlier runs selected." if n else ""


def _why_not(selection: JsonObject) -> str:
    others = "show little that the selected ones do not"
    if selection["method"] != "coreset":
        others = "are worth less to the strategies together"
    return f"do not pass a THRESHOLD, or {others}" if selection["nFiltered"] else f"or {others}"


def _parts(sizes: JsonObject, selection: JsonObject) -> list[tuple[int, str, Color]]:
    n_filtered = selection["nFiltered"]
    why = "close to a selected one" if selection["method"] == "coreset" else "not chosen"
    filtered = [(n_filtered, "filtered out by a THRESHOLD", style.FILTERED)] if n_filtered else []
    return [
        (sizes["nSelected"], "selected for labelling", style.SELECTED),
        (sizes["nRemoved"] - n_filtered, f"removed: {why}", style.INPUT),
        *filtered,
        (sizes["nDuplicate"], "exact copies of another", style.DUPLICATE),
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


def _tiles(sizes: JsonObject, selection: JsonObject) -> Table:
    tiles = [(sizes["nInput"], "came in", style.PAPER), *_parts(sizes, selection)]
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


def _compare_with_chance(report: JsonObject) -> list[Flowable]:
    """Return the comparison with a random choice of the same size, in a sentence and in bars."""
    information = report["datasetAnalysis"]["embeddingInformation"]
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    cover, nearest = information["distanceToCoverInput"], information["distanceToNearestNeighborInSet"]
    heading = Paragraph("Compared with a random choice of the same size", style.SUBSECTION)
    if not sizes["nRemoved"]:
        return [heading, paragraph("Every usable image was kept, so there is no other choice to compare with.")]
    selected, chance = cover["selected"]["metrics"], cover["random"]["metrics"]
    rows = [
        ("Farthest image from a labelled one", selected["max"], chance["max"], "smaller is better"),
        ("Typical image from a labelled one (mean)", selected["mean"], chance["mean"], "smaller is better"),
    ]
    if nearest["selected"]["metrics"] and nearest["random"]["metrics"]:
        medians = (nearest[which]["metrics"]["median"] for which in ("selected", "random"))
        rows.append(("Labelled images from each other (median)", *medians, "larger is better"))
    largest = max(max(first, second) for _, first, second, _ in rows)
    lines = [_compare_row(*row, largest) for row in rows]
    widths = [66 * mm, 58 * mm, style.TEXT_WIDTH - 124 * mm]
    return [KeepTogether([heading, Table(lines, colWidths=widths, style=style.TABLE, hAlign="LEFT"), _key(cover)])]


def _compare_row(words: str, selected: float, chance: float, direction: str, largest: float) -> list[Any]:
    both = ((selected, style.SELECTED), (chance, style.RANDOM))
    bars = [bar(value, largest, 52 * mm, color, 5) for value, color in both]
    numbers = Paragraph(f"{measure(selected)} selected<br/>{measure(chance)} random", style.CELL)
    label = Paragraph(f'{words}<br/><font color="#64707d" size="7">{direction}</font>', style.CELL)
    return [label, [Spacer(1, 3), bars[0], Spacer(1, 3), bars[1]], numbers]


def _key(cover: JsonObject) -> Paragraph:
    measured, every = cover["random"]["nMeasured"], cover["random"]["nAll"]
    seen = "over all images" if measured == every else f"over a random {count(measured)} of {plural(every, 'image')}"
    return Paragraph(
        f"Distances between embeddings, measured {seen} that took part in the selection: "
        "0 means that the network sees no difference.",
        style.SMALL,
    )


def _savings_in_short(savings: JsonObject) -> list[Flowable]:
    costs = [
        f"US$ {savings[key]['costSavings']:,.0f} for {words}"
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


def _first_selected(selection: JsonObject, thumbnail: Thumbnail) -> list[Flowable]:
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
    words = "The first images to label, in the order of choice" if len(pictures) > 1 else "The image to label"
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
        *_describe_reading(run, selection["embeddingDimensions"], was_read=report["corruptImages"]["areChecked"]),
        ("Selection", _describe_selection(selection)),
        ("Seed", run["seed"]),
    ]
    return [
        section("Job information"),
        facts_table(rows),
        *_stage_table(run),
        subsection("Versions"),
        name(" · ".join(f"{package} {version}" for package, version in worker["versions"].items()), 1000),
    ]


def _describe_reading(run: JsonObject, dimensions: int, *, was_read: bool) -> list[tuple[str, str]]:
    source = f"{run['encoder']['source']}, {dimensions} dimensions"
    if not was_read:
        return [("Read", "no image: embeddings were given"), ("Vectors", source)]
    reread = f", of these {size(run['bytesReread'])} a second time" if run["bytesReread"] else ", each image once"
    return [("Read", f"{size(run['bytesRead'])}{reread}"), ("Encoder", source), ("Decoder", run["decoder"])]


def _describe_credentials(credentials: JsonObject) -> str:
    return f"input: {credentials['input']}; results: {credentials['lightly']}"


def _describe_selection(selection: JsonObject) -> str:
    vectors = "embeddings of unit length" if selection["normalizeEmbeddings"] else "embeddings as they are"
    why = _STOP_WORDS.get(selection["stoppedBy"], selection["stoppedBy"])
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
