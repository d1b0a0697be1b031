"""The closing words: counts that add up, times, and where the report lies."""

from selection_api import ExitCode, RunSummary
from selection_api.status import Counts, Outputs
from selection_job.manifest.medium import IMAGES, VIDEOS
from selection_job.publishing.console_summary import console_summary

SUMMARY = RunSummary(
    exit_code=ExitCode.DONE,
    counts=Counts(input=5000, corrupt=3, duplicate=41, selected=500, removed=4456),
    outputs=Outputs(path="/out/", report_pdf="/out/report.pdf", selected_filenames="/out/filenames/s.txt"),
)


def test_counts_share_and_places_are_told():
    words = console_summary(SUMMARY, {"EMBEDDING": 2.0}, IMAGES)
    for text in (
        "5,000  images came in",
        "500  are worth labelling  (10.0%)",
        "/out/report.pdf",
        "/out/filenames/s.txt",
    ):
        assert text in words


def test_a_run_over_videos_speaks_of_frames():
    words = console_summary(SUMMARY, {"EMBEDDING": 2.0}, VIDEOS)
    assert "5,000  frames of videos were looked at" in words
    assert "image" not in words
    assert "the same videos" in console_summary(SUMMARY, {}, VIDEOS)


def test_the_longest_stage_has_the_longest_bar():
    lines = console_summary(SUMMARY, {"TRAINING": 30.0, "SAMPLING": 3.0}, IMAGES).splitlines()
    bars = {line.split()[0]: line.count("▇") for line in lines if "▇" in line}
    assert bars["TRAINING"] == 24
    assert bars["SAMPLING"] == 2


def test_a_run_that_was_finished_before_says_so():
    assert "nothing was done again" in console_summary(SUMMARY, {"INITIALIZING": 7.0, "LOADING_DATASET": 0.4}, IMAGES)
