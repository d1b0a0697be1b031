"""The first page: what came in, what was chosen, how it compares with chance, and the first images chosen."""

from typing import Any

from selection_job.manifest.noun import VIDEO, Noun, agree
from selection_job.report.blocks.blocks import (
    LINE_BREAK,
    MM,
    TEXT_WIDTH,
    Bar,
    Block,
    Cell,
    Grid,
    Heading,
    KeepTogether,
    Level,
    Look,
    Paragraph,
    Run,
    Space,
    Table,
)
from selection_job.report.blocks.parts import bar, bold, name, paragraph, say, shown, subsection, thumbnail_picture
from selection_job.report.outcome import chosen_level, list_rest, name_filters
from selection_job.report.plots.drawing import INK, INPUT, MUTED, RANDOM, SELECTED, Thumbnail
from selection_job.report.sections.sequences import say_sequences
from selection_job.report.sections.videos import say_sampling
from selection_job.report.wording import count, dollars, measure, noun_of, plural, share

JsonObject = dict[str, Any]

_PAPER = "#f5f6f8"
_COLORS = {"removed": INPUT, "duplicate": MUTED, "corrupt": INK, "NO_SEQUENCE": "#8fa38a", "NO_OBJECT": "#8fa38a"}
_FILTERED = "#c9b37e"  # what a THRESHOLD kept out
_STACKED_HEIGHT = 16


def make_cover(report: JsonObject, thumbnail: Thumbnail) -> list[Block]:
    """Return the first page: one sentence, the counts, the comparison with a random choice, the first images chosen."""
    general, selection, noun = report["generalInformation"], report["selectionInformation"], noun_of(report)
    sizes, run = general["datasetInformation"]["datasetSizes"], general["runInformation"]
    what_for = _say_what_for(report) + _say_pool(sizes, noun) + _say_videos(report)
    return [
        Space(8 * MM),
        say("SELECTION REPORT", look=Look.OVERLINE),
        Heading(shown(general["datasetInformation"]["datasetName"], 60), Level.TITLE),
        Space(2 * MM),
        name(f"Run {run['runId']} · finished {run['endTimestamp'].replace('T', ' ')}"),
        Space(9 * MM),
        say(bold(count(sizes["nSelected"])), what_for, look=Look.LEAD),
        Space(2 * MM),
        _stacked_bar(_parts(report)),
        Space(4 * MM),
        _tiles(report),
        Space(9 * MM),
        *_compare_with_chance(report),
        *_savings_in_short(report["annotationSavings"]),
        _first_selected(selection, thumbnail, noun),
    ]


def _say_what_for(report: JsonObject) -> str:
    """Return the headline behind the number of selected images."""
    sizes, noun = report["generalInformation"]["datasetInformation"]["datasetSizes"], noun_of(report)
    selection = report["selectionInformation"]
    n, k = sizes["nInput"], sizes["nSelected"]
    verb = agree(k, "are")
    if not sizes["nRemoved"]:
        return f" of {plural(n, noun)} {verb} worth labelling: every usable {noun.singular} was kept."
    n_all = f"{plural(n, noun)} ({share(k, n)}){say_sequences(report)}"
    are_all_kept = sizes["nRemoved"] == selection["nFiltered"]
    if selection["method"] == "random" and not are_all_kept:
        return f" of {n_all} {verb} chosen for labelling, at random{_say_among(report)}."
    others = f"other {noun.singular}" if n - k == 1 else f"other {count(n - k)}"
    first = "" if are_all_kept else " first"
    return f" of {n_all} {verb} worth labelling{first}. The {others} {_why_not(report, n - k)}."


def _say_among(report: JsonObject) -> str:
    """Return among which ones was drawn, where a filter kept some out."""
    level, noun = chosen_level(report)
    return f" among the {noun.plural} that pass {filters}" if (filters := name_filters(level)) else ""


def _say_videos(report: JsonObject) -> str:
    """Say of a run over videos how many there are, how many can't be used, and how many have selected frames."""
    information = report.get("videoInformation")
    if information is None:
        return ""
    sizes = report["generalInformation"]["datasetInformation"]["videoLevelSizes"]
    n, n_corrupt, k = sizes["nInput"], sizes["nCorrupt"], sizes["nSelected"]
    broken = f", {count(n_corrupt)} of which can't be used at all" if n_corrupt else ""
    return (
        f" The frames come from {plural(n, VIDEO)}{broken}; the run looked at {say_sampling(information)}. The "
        f"selected ones come from {plural(k, VIDEO)}."
    )


def _say_pool(sizes: JsonObject, noun: Noun) -> str:
    n = sizes["nPreselectedDatapool"]
    k = sizes["nSelected"]
    they_add = f"{agree(k, 'they').capitalize()} {agree(k, 'add')}"
    return f" {they_add} to {plural(n, noun)} that {agree(n, 'were')} selected before." if n else ""


def _why_not(report: JsonObject, number: int) -> str:
    """Return the reasons that there are, one of which holds for each of so many images that were not selected."""
    reasons = [part.say(number) for part in list_rest(report) if part.number]
    return " or ".join([*([", ".join(reasons[:-1])] if reasons[1:] else []), reasons[-1]])


def _parts(report: JsonObject) -> list[tuple[int, str, str]]:
    """Return what became of the input: number, words and colour of each part."""
    n_selected = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nSelected"]
    selected = (n_selected, "selected for labelling", SELECTED)
    return [
        selected,
        *((part.number, part.tile, _COLORS.get(part.kind, _FILTERED)) for part in reversed(list_rest(report))),
    ]


def _stacked_bar(parts: list[tuple[int, str, str]]) -> Bar:
    """Return the input as one bar in its parts; a part that is not empty is never too thin to see."""
    seen = [(number, color) for number, _, color in parts if number]
    least = 2.5
    unit = (TEXT_WIDTH - least * len(seen)) / max(sum(number for number, _ in seen), 1)
    lengths = tuple((least + unit * number, color) for number, color in seen)
    return Bar(TEXT_WIDTH, _STACKED_HEIGHT, lengths, edge=0.8)


def _tiles(report: JsonObject) -> Grid:
    n_input = report["generalInformation"]["datasetInformation"]["datasetSizes"]["nInput"]
    first = "looked at" if "videoInformation" in report else "came in"
    tiles = [(n_input, first, _PAPER), *_parts(report)]
    cells = tuple(
        (
            Bar(22, 3, ((22, color),), room_above=1),
            say(_fit(number), look=Look.TILE_NUMBER),
            say(words, look=Look.TILE_WORDS),
        )
        for number, words, color in tiles
    )
    return Grid(cells, (TEXT_WIDTH / len(cells),) * len(cells))


def _fit(number: int) -> Run:
    """Return a count in letters small enough for a tile."""
    text = count(number)
    return Run(text) if len(text) <= 7 else Run(text, size=round(19 * 7 / len(text), 1))


def _compare_with_chance(report: JsonObject) -> list[Block]:
    """Return the comparison with a random choice of the same size, in a sentence and in bars."""
    information = report["datasetAnalysis"]["embeddingInformation"]
    sizes = report["generalInformation"]["datasetInformation"]["datasetSizes"]
    cover, nearest = information["distanceToCoverInput"], information["distanceToNearestNeighborInSet"]
    heading, noun = subsection("Compared with a random choice of the same size"), noun_of(report)
    if sizes["nRemoved"] == report["selectionInformation"]["nFiltered"]:
        kept = f"{noun.singular} that could be chosen" if sizes["nRemoved"] else f"usable {noun.singular}"
        words = f"Every {kept} was kept, so there is no other choice to compare with."
        return [heading, paragraph(words)]
    selected, chance = cover["selected"]["metrics"], cover["random"]["metrics"]
    rows = [
        (f"Farthest {noun.singular} from a labelled one", selected["max"], chance["max"], "smaller is better"),
        (f"Typical {noun.singular} from a labelled one (mean)", selected["mean"], chance["mean"], "smaller is better"),
    ]
    if nearest["selected"]["metrics"] and nearest["random"]["metrics"]:
        medians = (nearest[which]["metrics"]["median"] for which in ("selected", "random"))
        rows.append((f"Labelled {noun.singular} from its nearest (median)", *medians, "larger is better"))
    largest = max(max(first, second) for _, first, second, _ in rows)
    lines = Table(tuple(_compare_row(*row, largest) for row in rows), (66 * MM, 58 * MM, TEXT_WIDTH - 124 * MM))
    which = "could be chosen" if report["selectionInformation"]["nFiltered"] else "took part in the selection"
    return [KeepTogether((heading, lines, _say_measured(cover["random"], noun, which)))]


def _compare_row(words: str, selected: float, chance: float, direction: str, largest: float) -> tuple[Cell, ...]:
    bars = [bar(value, largest, 52 * MM, color, 5) for value, color in ((selected, SELECTED), (chance, RANDOM))]
    return (
        say(words, LINE_BREAK, Run(direction, is_muted=True, size=7), look=Look.CELL),
        (Space(3), bars[0], Space(3), bars[1]),
        say(f"{measure(selected)} selected", LINE_BREAK, f"{measure(chance)} random", look=Look.CELL),
    )


def _say_measured(described: JsonObject, noun: Noun, which: str) -> Paragraph:
    n, n_all = described["nMeasured"], described["nAll"]
    seen = f"over all {noun.plural}" if n == n_all else f"over a random {count(n)} of {plural(n_all, noun)}"
    words = f"Distances between embeddings, measured {seen} that {which}: 0 means that the network sees no difference."
    return paragraph(words, Look.SMALL)


def _savings_in_short(savings: JsonObject) -> list[Block]:
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
    return [Space(4 * MM), paragraph(text)]


def _first_selected(selection: JsonObject, thumbnail: Thumbnail, noun: Noun) -> Block:
    """Return thumbnails of the first images chosen: with coreset they are the most different ones."""
    side, columns = 19 * MM, 8
    pictures = [
        thumbnail_picture(thumbnail, file_name, side) for file_name in selection["firstSelected"][: 2 * columns]
    ]
    grid = Grid(tuple(pictures), (TEXT_WIDTH / columns,) * columns, row_height=side + 2 * MM)
    first = f"The first {noun.plural} to label, in the order of choice"
    words = first if len(pictures) > 1 else f"The {noun.singular} to label"
    return KeepTogether((subsection(words), Space(1 * MM), grid))
