"""The section on videos: what each gave, where in time its selected frames lie, and which can't be used."""

from pathlib import Path
from typing import Any

from selection_job.manifest.noun import FRAME, VIDEO, agree
from selection_job.report.blocks.blocks import MM, TEXT_WIDTH, Block, KeepTogether, Look, PageBreak, Space
from selection_job.report.blocks.parts import captioned_plot, name, paragraph, say_rest, section, subsection, table
from selection_job.report.plots.fonts import shorten
from selection_job.report.plots.video_figures import MOST_ROWS, has_many_videos
from selection_job.report.wording import count, duration, plural

JsonObject = dict[str, Any]

MOST_TABLE_ROWS = 60
"""Videos in tables; report.json has up to 300, data/videos.csv all."""

_MOST_KINDS = 12


def make_video_section(report: JsonObject, plots: Path) -> list[Block]:
    """Return the timeline, the numbers of each video and the corrupt ones; nothing of a run over images."""
    information = report.get("videoInformation")
    if information is None:
        return []
    sizes = report["generalInformation"]["datasetInformation"]["videoLevelSizes"]
    return [
        Space(6 * MM),
        PageBreak(110 * MM),
        section("Videos"),
        paragraph(_sum_up(information, sizes)),
        *_frames_per_video(information, plots),
        *_timeline(information, plots),
        *_video_table(information),
        *_corrupt_videos(information["corruptVideos"]),
    ]


def say_sampling(information: JsonObject) -> str:
    """Say which frames of a video were looked at.

    >>> say_sampling({"everyNthFrame": 5, "targetFps": None}), say_sampling({"everyNthFrame": None, "targetFps": 2.5})
    ('one frame in 5', '2.5 frames a second')
    """
    if information["everyNthFrame"] is not None and information["everyNthFrame"] > 1:
        return f"one frame in {count(information['everyNthFrame'])}"
    if information["targetFps"] is not None:
        return f"{information['targetFps']:g} frames a second"
    return "every frame"


def _sum_up(information: JsonObject, sizes: JsonObject) -> str:
    seconds, spread = information["seconds"], information["selectedPerVideo"]
    length = f", {duration(seconds)} long" if seconds else ""
    words = (
        f"{plural(sizes['nInput'], VIDEO)}{length}, {agree(sizes['nInput'], 'have')} "
        f"{plural(information['nFrames'], FRAME)}. The run looked at {say_sampling(information)}, "
        f"{count(information['nLookedAt'])} in all."
    )
    if spread is None:
        return words
    return (
        f"{words} Selected frames come from {plural(sizes['nSelected'], VIDEO)}; "
        f"{count(information['nWithoutSelected'])} of the usable ones have none. A usable video has "
        f"{count(spread['min'])} selected frames at least, {spread['median']:g} in the middle (median) and "
        f"{count(spread['max'])} at most."
    )


def _timeline(information: JsonObject, plots: Path) -> list[Block]:
    if not information["videos"]:
        return []
    words = (
        "How to read: the grey bar is the video's length, each orange tick a place with selected frames. Ticks that "
        "crowd in one place stand for a scene with much variety; a bar with few ticks repeats what others show."
    )
    more = len(information["videos"]) + information["otherVideos"]["nVideos"] - MOST_ROWS
    rest = f"{count(more)} shorter {VIDEO.form(more)} not drawn: see data/frames.csv."
    drawn = [subsection("Timeline"), captioned_plot(plots / "video_timeline.png", words)]
    return [KeepTogether((*drawn, *([paragraph(rest, Look.SMALL)] if more > 0 else [])))]


def _frames_per_video(information: JsonObject, plots: Path) -> list[Block]:
    if not has_many_videos(information):
        return []
    words = (
        "How to read: grey says how many frames of a video were looked at, orange how many of them were selected, blue "
        "how many a random choice of as many would take. Where orange lies farther apart than blue, the selection "
        "takes more from some videos and less from others, by what they show."
    )
    drawn = captioned_plot(plots / "frames_per_video.png", words)
    return [KeepTogether((subsection("How many frames of a video were selected"), drawn))]


def _video_table(information: JsonObject) -> list[Block]:
    videos = information["videos"]
    if not videos:
        return []
    rows: list[list[Block | str]] = [
        [
            name(video["filename"]),
            "–" if video["seconds"] is None else duration(video["seconds"]),
            *[count(video[key]) for key in ("nFrames", "nLookedAt", "nCorrupt", "nDuplicate", "nSelected")],
        ]
        for video in videos[:MOST_TABLE_ROWS]
    ]
    head = [VIDEO.singular, "length", FRAME.plural, "looked at", "corrupt", "copies", "selected"]
    widths = [TEXT_WIDTH - 105 * MM, 20 * MM, *[17 * MM] * 5]
    more = len(videos) + information["otherVideos"]["nVideos"] - len(rows)
    return [
        PageBreak(40 * MM),
        subsection("The videos with the most frames" if more else "Each video"),
        table(head, rows, widths, numbers=6),
        *say_rest(more, "data/videos.csv"),
    ]


def _corrupt_videos(corrupt: JsonObject) -> list[Block]:
    heading = [PageBreak(40 * MM), subsection("Corrupt videos")]
    if not corrupt["total"]:
        return [*heading, paragraph("Every video could be opened and read.")]
    kinds = "; ".join(
        f"{shorten(kind, 60)}: {count(number)}" for kind, number in list(corrupt["kinds"].items())[:_MOST_KINDS]
    )
    rows = [[name(entry["filename"], 90), name(entry["reason"], 240)] for entry in corrupt["videos"][:MOST_TABLE_ROWS]]
    words = (
        f"{plural(corrupt['total'], VIDEO)} can't be used as a whole and took no part. {kinds}. Single frames that "
        "can't be used stand under Corrupt frames."
    )
    return [
        *heading,
        paragraph(words),
        table([VIDEO.singular, "why"], rows, [85 * MM, TEXT_WIDTH - 85 * MM]),
        *say_rest(corrupt["total"] - len(rows), "filenames/corrupt_videos.txt"),
    ]
