"""What the report tells about videos: counts, lengths and times recounted frame by frame, whatever the names."""

import json
from collections import Counter
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from pypdf import PdfReader
from video_inputs import FPS, make_video_input

from selection_job.report import writing
from selection_job.report.measures import video_information
from selection_job.report.measures.candidates import make_candidates
from selection_job.report.measures.video_information import N_PARTS, describe_videos
from selection_job.report.measures.video_times import measure_lengths, place_in_time
from selection_job.report.plots.video_figures import say_time
from selection_job.report.report_json import read_schema, report_json_bytes

LENGTHS = {"a/long.mp4": 130, "b <&>\n.mp4": 40, "日本.mov": 75, "one.avi": 1}
CORRUPT = {("a/long.mp4", 50), ("b <&>\n.mp4", 0)}
BROKEN = {"no.mp4": "can't be opened: no header", "none.mp4": "can't be opened: empty"}


def describe(given):
    catalog, selection, facts = given["catalog"], given["selection"], given["facts"]
    pool = make_candidates(given["embeddings"], selection, normalize=True, seed=facts.seed)
    sizes, found = describe_videos(catalog.frames, catalog, selection, pool=pool, facts=facts)
    return (sizes.to_json_values(), found.to_json_values()), pool


@pytest.fixture
def given(make_report_input):
    pool = ["old-1-mp4.png", "old-2-mp4.png", "a/long-099-mp4.png"]
    return make_video_input(
        make_report_input, LENGTHS, 20, corrupt=CORRUPT, broken=BROKEN, every_nth=5, duplicates=3, pool=pool
    )


def list_selected(given):
    frames = given["catalog"].frames
    return [(frames.videos[frames.video_rows[row]], int(frames.indices[row])) for row in given["selection"].selected]


def test_each_video_has_the_numbers_of_its_frames(given):
    (_, found), _ = describe(given)
    assert [video["filename"] for video in found["videos"]] == ["a/long.mp4", "日本.mov", "b <&>\n.mp4", "one.avi"]
    chosen = Counter(video for video, _ in list_selected(given))
    for video in found["videos"]:
        name, length = video["filename"], LENGTHS[video["filename"]]
        assert (video["nFrames"], video["nLookedAt"]) == (length, -(-length // 5))
        assert video["nCorrupt"] == sum(each == name and index % 5 == 0 for each, index in CORRUPT)
        assert video["nSelected"] == chosen[name]
        assert video["nLookedAt"] == sum(video[f"n{part}"] for part in ("Corrupt", "Duplicate", "Removed", "Selected"))
        assert video["seconds"] == (None if length == 1 else pytest.approx(length / FPS))
    assert (found["nFrames"], found["everyNthFrame"], found["targetFps"]) == (246, 5, None)
    assert found["seconds"] == pytest.approx((246 - 1) / FPS)
    numbers = [chosen[name] for name in LENGTHS]
    spread = {"min": min(numbers), "median": np.median(numbers), "mean": np.mean(numbers), "max": max(numbers)}
    assert found["selectedPerVideo"] == pytest.approx(spread)
    assert found["nWithoutSelected"] == numbers.count(0)


@pytest.mark.parametrize("timed", [True, False])
def test_selected_frames_lie_in_the_parts_of_their_times(make_report_input, timed):
    first_frames = {("a/long.mp4", i) for i in range(30)}
    given = make_video_input(make_report_input, LENGTHS, 60, timed=timed, corrupt=first_frames)
    frames = given["catalog"].frames
    late = replace(given["catalog"], frames=replace(frames, seconds=frames.seconds + 7))  # a video need not begin at 0
    for catalog in (given["catalog"], late):
        (_, found), _ = describe({**given, "catalog": catalog})
        parts = {video["filename"]: np.array(video["selectedOverTime"]) for video in found["videos"]}
        expected = {name: np.zeros(N_PARTS, dtype=int) for name in LENGTHS}
        for name, index in list_selected(given):
            middle = int((index + 1e-9) / LENGTHS[name] * N_PARTS)
            expected[name][middle] += 1
        for name, counts in expected.items():
            assert counts.sum() == parts[name].sum()
            assert np.abs(np.cumsum(counts) - np.cumsum(parts[name])).max() <= 1, "rounding may move one to a neighbour"
            assert np.abs(np.flatnonzero(counts) - np.flatnonzero(parts[name])).max(initial=0) <= 1


def test_times_that_no_video_can_have_lie_at_its_ends(make_report_input):
    given = make_video_input(make_report_input, LENGTHS, 60)
    frames = given["catalog"].frames
    rows = np.flatnonzero(frames.video_rows == frames.video_rows[given["selection"].selected[0]])
    seconds, (early, late) = frames.seconds.copy(), rows[[1, -2]]
    seconds[[early, late]] = -9e17, 9e17
    lengths = measure_lengths(replace(frames, seconds=seconds))
    chosen = replace(given["selection"], selected=np.array([early, late]))
    (parts,) = place_in_time(replace(frames, seconds=seconds), lengths, chosen, frames.video_rows[rows[:1]], N_PARTS)
    assert (parts[0], parts[-1], sum(parts)) == (1, 1, 2)


def test_videos_count_as_their_frames_do(given):
    (sizes, found), _ = describe(given)
    chosen = {video for video, _ in list_selected(given)}
    assert sizes["nInput"] == len(LENGTHS) + len(BROKEN)
    assert sizes["nInput"] == sum(sizes[f"n{part}"] for part in ("Corrupt", "Duplicate", "Removed", "Selected"))
    assert (sizes["nCorrupt"], sizes["nSelected"]) == (len(BROKEN), len(chosen))
    assert (sizes["nPreselectedDatapool"], sizes["nSelectedWithDatapool"]) == (
        2,
        len(chosen | {"old.mp4", "a/long.mp4"}),
    )
    assert found["corruptVideos"]["kinds"] == {"can't be opened": 2}
    assert [entry["filename"] for entry in found["corruptVideos"]["videos"]] == list(BROKEN)


def test_a_video_whose_frames_are_all_copies_counts_as_one(make_report_input):
    given = make_video_input(make_report_input, {"a.mp4": 9, "z.mp4": 3}, 2, duplicates=3)
    (sizes, _), _ = describe(given)
    assert (sizes["nInput"], sizes["nSelected"], sizes["nDuplicate"], sizes["nRemoved"]) == (2, 1, 1, 0)


def test_videos_are_counted_by_their_frames_beside_a_random_choice(make_report_input):
    lengths = {f"{i:02}.mp4": 1 + i * i // 9 for i in range(30)}
    given = make_video_input(make_report_input, lengths, 90)
    (_, found), pool = describe(given)
    frames, counted = given["catalog"].frames, found["framesPerVideo"]
    rows = {
        "lookedAt": pool.catalog_rows,
        "selected": given["selection"].selected,
        "random": pool.catalog_rows[pool.random],
    }
    ends = [*counted["bins"][1:], np.inf]
    for key, which in rows.items():
        numbers = Counter(dict.fromkeys(range(30), 0) | Counter(frames.video_rows[which].tolist()))
        expected = [
            sum(first <= number < end for number in numbers.values())
            for first, end in zip(counted["bins"], ends, strict=True)
        ]
        assert counted[key] == expected


def test_of_many_videos_those_with_the_most_frames_are_told_and_the_others_summed(make_report_input, monkeypatch):
    monkeypatch.setattr(video_information, "MOST_VIDEOS", 7)
    lengths = {f"{i:02}.mp4": 2 + i % 11 for i in range(25)}
    given = make_video_input(make_report_input, lengths, 20)
    (_, found), _ = describe(given)
    told = [video["filename"] for video in found["videos"]]
    assert told == sorted(lengths, key=lambda name: (-lengths[name], name))[:7]
    others = found["otherVideos"]
    assert others["nVideos"] == 18
    assert others["nFrames"] == sum(length for name, length in lengths.items() if name not in told)
    assert others["nSelected"] == 20 - sum(video["nSelected"] for video in found["videos"])


def test_the_report_and_its_pdf_speak_of_frames_and_show_any_name(make_report_input, tmp_path):
    given = make_video_input(
        make_report_input, {"b <&>\n.mp4": 2, "日本.mov": 1}, 1, broken={"</para>.avi": "<no> stream"}
    )
    report = writing.write_report(tmp_path, **given)
    document = json.loads(report_json_bytes(report))
    assert list(jsonschema.Draft202012Validator(read_schema()).iter_errors(document)) == []
    assert document["exactDuplicates"]["comparedBy"] == "pixels"
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    for words in (
        r"b <&>\n.mp4",
        "日本.mov",
        "</para>.avi",
        "<no> stream",
        "Timeline",
        "Corrupt frames",
        "No two frames",
    ):
        assert words in text
    before_the_factors = text[: text.index("labelling task")]
    assert " image" not in before_the_factors.lower()
    assert (tmp_path / "plots/video_timeline.png").exists()
    assert not (tmp_path / "plots/frames_per_video.png").exists()


def test_a_run_over_images_says_nothing_of_videos(make_report_input, tmp_path):
    report = writing.write_report(tmp_path, **make_report_input(2, 1))
    assert "videoInformation" not in report
    assert "videoLevelSizes" not in report["generalInformation"]["datasetInformation"]
    assert not (tmp_path / "plots/video_timeline.png").exists()
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages)
    assert "Timeline" not in text
    assert "every usable image" not in text
    assert "1 of 2 images" in text


@pytest.mark.parametrize(
    ("seconds", "step", "said"), [(0, 5, "0"), (59, 30, "0:59"), (3600, 600, "1:00:00"), (86400, 43200, "24 h")]
)
def test_times_are_said_in_the_units_of_the_axis(seconds, step, said):
    assert say_time(seconds, step) == said
