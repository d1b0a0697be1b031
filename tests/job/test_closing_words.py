"""The closing words: the report's numbers, a line for each reason, what ended the selection, notes and places."""

import json
import re
from collections import Counter
from unittest.mock import Mock

import pytest
from told_runs import CASES, CORRUPT, LENGTH, judge_each

from selection_api import ExitCode, RunSummary, parse_manifest
from selection_api.status import Counts, Outputs
from selection_job.manifest.medium import IMAGES, VIDEOS
from selection_job.process.progress import Progress
from selection_job.publishing.console_summary import MOST_NOTES, console_summary
from selection_job.report.outcome import list_rest
from selection_job.report.sections.cover import make_cover
from selection_job.running import run_manifest as run_process

SUMMARY = RunSummary(
    exit_code=ExitCode.DONE,
    counts=Counts(input=5000, corrupt=3, duplicate=41, selected=500, removed=4456),
    outputs=Outputs(path="/out/", report_pdf="/out/report.pdf", selected_filenames="/out/filenames/s.txt"),
)


def make_old_report(notes=(), **selection):
    """What the closing words look at, as reports before 1.4 have it."""
    sizes = {"nInput": 5000, "nCorrupt": 3, "nDuplicate": 41, "nSelected": 500, "nRemoved": 4456}
    own = {"method": "coreset", "stoppedBy": "n_samples", "nFiltered": 0, "sequenceLength": 1, "coverRadius": 0.0341}
    return {
        "generalInformation": {"datasetInformation": {"datasetSizes": sizes}},
        "selectionInformation": {**own, **selection},
        "notes": list(notes),
    }


REPORT = make_old_report()


def read_lines(words):
    """Return {words: number} of the lines that begin with a number."""
    found = [re.fullmatch(r" +([0-9,]+)  (.+)", line) for line in words.splitlines()]
    return {match[2]: int(match[1].replace(",", "")) for match in found if match}


def judge_by_hand(told, case):
    return Counter([*judge_each(told, case), *["corrupt"] * len(CORRUPT)])


RADIUS = r"within [0-9.]+ of a selected one"
PHRASES = {
    "corrupt": "can't be used",
    "duplicate": "(are exact copies|is an exact copy)",
    "NO_SEQUENCE": "lies? in no sequence to choose from",
    "NO_OBJECT": "(have|has) no object to choose from",
    "MIN_COUNTS": "(have|has) too few objects for min_counts",
    "THRESHOLD": "(do|does) not pass a THRESHOLD",
    "removed": f"lies? {RADIUS}",
    "selected": "(are|is) worth labelling +.*",
}
OF_SEQUENCES = {"THRESHOLD": "lies? in a sequence that does not pass a THRESHOLD"}
OF_OBJECTS = {
    "THRESHOLD": "(have|has) no object that passes every THRESHOLD",
    "removed": "(have|has) no object that was chosen",
}
BY_CHANCE = {"removed": "(were|was) not drawn", "selected": "are chosen at random +.*"}
TOGETHER = {"removed": "(are|is) worth less to the strategies together"}


def find_phrases(case):
    phrases = {**PHRASES}
    for word, own in (("sequences", OF_SEQUENCES), ("objects", OF_OBJECTS), ("several", TOGETHER)):
        phrases |= own if word in case else {}
    return phrases | (BY_CHANCE if case in ("random", "sequences by chance") else {})


@pytest.mark.parametrize("case", CASES)
def test_every_image_is_counted_once_by_the_reason_that_holds_for_it(tell, case):
    told = tell(case)
    expected = judge_by_hand(told, case)
    assert all(number for fate, number in expected.items())
    lines = read_lines(console_summary(SUMMARY, told.report, {}, IMAGES))
    assert lines.pop("images came in") == told.catalog.n_input == sum(lines.values())
    found = Counter()
    for words, number in lines.items():
        (fate,) = (fate for fate, phrase in find_phrases(case).items() if re.fullmatch(phrase, words))
        found[fate] = number
    assert +found == expected
    parts = {part.kind: part.number for part in list_rest(told.report)}
    assert +Counter(parts) == expected - Counter(selected=expected["selected"])
    cover = str(make_cover(told.report, lambda name: None))
    for part in list_rest(told.report):
        assert part.tile in cover
        is_reason_told = case not in ("random", "sequences by chance") and part.number
        assert not is_reason_told or part.of_many in cover


ENDINGS = {
    "coreset": "9 images were asked for, 9 are kept: the number of images asked for was reached.",
    "two thresholds, too many asked": "500 images were asked for, {} are kept: there was no further image that passes "
    "every THRESHOLD.",
    "threshold, min_distance and datapool": "100 images were asked for, {} are kept: every other image that passes "
    "every THRESHOLD is nearer to a selected one than the smallest distance asked for (min_distance).",
    "sequences": "9 images were asked for, 9 are kept: the number of sequences asked for was reached.",
    "objects": "8 objects were asked for, 8 are kept: the number of objects asked for was reached.",
}


@pytest.mark.parametrize("case", ENDINGS)
def test_what_ended_the_selection_is_told(tell, case):
    told = tell(case)
    expected = ENDINGS[case].format(len(told.selection.selected))
    assert f"  {expected}\n" in console_summary(SUMMARY, told.report, {}, IMAGES)


@pytest.mark.parametrize(
    ("stopped_by", "words"),
    [
        ("no row left", "every further image would leave a target_range"),
        ("max_sum", "the values of the selected images add up to stopping_condition_max_sum"),
        ("least_value", "the next image is less typical than stopping_condition_minimum_typicality"),
        ("something new", "something new"),
    ],
)
def test_a_selection_without_a_number_says_what_ended_it(stopped_by, words):
    report = make_old_report(stoppedBy=stopped_by)
    assert f"  The selection ended because {words}." in console_summary(SUMMARY, report, {}, IMAGES)


def test_the_reports_notes_are_printed(tell):
    told = tell("two thresholds, too many asked")
    words = console_summary(SUMMARY, told.report, {}, IMAGES)
    n = len(told.selection.selected)
    assert f"  - 500 images were asked for and {n} pass: all of them are kept.\n" in words
    for note in told.report["notes"]:
        assert f"  - {note}\n" in words


def test_many_long_and_hostile_notes_stay_in_bounds():
    notes = ["\x1b[2Jgone\nnext\udc80", "x" * 10_000, *(f"note {i}" for i in range(50))]
    words = console_summary(SUMMARY, make_old_report(notes), {}, IMAGES)
    assert "  - \\x1b[2Jgone\\nnext\\udc80\n" in words
    assert f"  - and {len(notes) - MOST_NOTES} more: see Notes in the report\n" in words
    assert max(map(len, words.splitlines())) < 700
    words.encode()


def test_counts_share_and_places_are_told():
    words = console_summary(SUMMARY, REPORT, {"EMBEDDING": 2.0}, IMAGES)
    for text in (
        "5,000  images came in",
        "4,456  lie within 0.0341 of a selected one",
        "500  are worth labelling  (10%)",
        "/out/report.pdf",
        "/out/filenames/s.txt",
    ):
        assert text in words


@pytest.mark.parametrize(
    ("length", "words"), [(1, "do not pass a THRESHOLD"), (LENGTH, "lie in no sequence to choose from")]
)
def test_a_report_of_an_earlier_version_is_told_too(length, words):
    lines = read_lines(console_summary(SUMMARY, make_old_report(nFiltered=56, sequenceLength=length), {}, IMAGES))
    assert (lines[words], lines["lie within 0.0341 of a selected one"]) == (56, 4400)


def test_a_run_over_videos_speaks_of_frames():
    report = {**REPORT, "videoInformation": {}}
    words = console_summary(SUMMARY, report, {"EMBEDDING": 2.0}, VIDEOS)
    assert "5,000  frames of videos were looked at" in words
    assert "image" not in words
    assert "the same videos" in console_summary(SUMMARY, report, {}, VIDEOS)


def test_videos_that_cannot_be_used_are_told_beside_the_counts_of_frames():
    def tell(corrupt):
        return console_summary(SUMMARY, {**REPORT, "videoInformation": {"corruptVideos": corrupt}}, {}, VIDEOS)

    several = tell({"total": 1004, "kinds": {"not a video": 1003, "no \x1bvideo": 1}, "videos": []})
    assert "  1,004 videos can't be used at all (not a video: 1,003, no \\x1bvideo: 1): " in several
    assert "  1 video can't be used at all (empty: 1): " in tell({"total": 1, "kinds": {"empty": 1}, "videos": []})
    assert "can't be used at all" not in tell({"total": 0, "kinds": {}, "videos": []})


def test_the_longest_stage_has_the_longest_bar():
    lines = console_summary(SUMMARY, REPORT, {"TRAINING": 30.0, "SAMPLING": 3.0}, IMAGES).splitlines()
    bars = {line.split()[0]: line.count("▇") for line in lines if "▇" in line}
    assert bars["TRAINING"] == 24
    assert bars["SAMPLING"] == 2


def test_a_run_that_was_finished_before_says_so():
    assert "nothing was done again" in console_summary(
        SUMMARY, REPORT, {"INITIALIZING": 7.0, "LOADING_DATASET": 0.4}, IMAGES
    )


def test_a_process_prints_what_is_in_the_report_that_it_finds(tmp_path, make_manifest, run_manifest, capsys):
    names = [f"{i:02}.jpg" for i in range(12)]
    (tmp_path / "input").mkdir()
    for name in names:
        (tmp_path / "input" / name).write_bytes(b"no picture")
    lines = ["filenames,embedding_0,embedding_1,labels", *(f"{name},{i // 4},1,0" for i, name in enumerate(names))]
    path = tmp_path / "output/.lightly/embeddings/mine.csv"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n")
    stopping = {"n_samples": 10, "min_distance": 0.1}
    worker = {"checkpoint": None, "embeddings": "mine.csv", "remove_exact_duplicates": False}
    manifest = make_manifest(tmp_path / "input", workerConfig={**worker, "stopping_condition": stopping})
    done = run_manifest(manifest)
    assert json.loads(json.dumps(done.place.progress.report)) == done.report
    assert run_process(parse_manifest(manifest), Progress(quiet=True), Mock()) == ExitCode.DONE
    words = capsys.readouterr().out
    assert read_lines(words) == {
        "images came in": 12, "can't be used": 0, "are exact copies": 0, "lie within 0 of a selected one": 9,
        "are worth labelling  (25%)": 3,
    }  # fmt: skip
    assert "10 images were asked for, 3 are kept: every other image is nearer to a selected one" in words
    assert "  - No image was opened: embeddings come from" in words
    assert "nothing was done again" in words
