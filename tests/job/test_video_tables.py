"""frames.csv, videos.csv and what frames add to the other files: every number counted by other means."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from lightly.utils.io import load_embeddings
from video_inputs import FPS, make_video_input

from selection_job.catalog.frame_names import parse_frame_name
from selection_job.results.tables import embedding_lines
from selection_job.results.tables.name_lists import write_corruptness_check, write_name_lists
from selection_job.results.tables.tables import write_embeddings, write_tables
from selection_job.results.tables.video_tables import write_video_tables
from selection_job.selection.selection import StrategyRecord
from selection_job.selection.video_counts import number_videos

ODD = 'cam, "1"/two\nlines.mp4'
LENGTHS = {"a.mp4": 12, ODD: 9, "z/日本-5-mp4.mov": 7}
CORRUPT = {("a.mp4", 4), (ODD, 8)}
BROKEN = {"gone.avi": "can't be opened: no header", "kept.mp4": "empty"}
POOL = ["a-00-mp4.png", "elsewhere/b-3-mp4.png", "elsewhere/c-1-mp4.png", "elsewhere/b-7-mp4.png"]


@pytest.fixture
def given(make_report_input):
    found = make_video_input(make_report_input, LENGTHS, 6, corrupt=CORRUPT, broken=BROKEN, duplicates=2, pool=POOL)
    selection = found["selection"]
    filtered_by = np.where(np.arange(len(selection.removed)) == 3, 0, -1)
    limit = StrategyRecord("THRESHOLD", "THRESHOLD", None)
    return {**found, "selection": replace(selection, filtered_by=filtered_by, thresholds=(limit,))}


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def tables(given, tmp_path):
    write_tables(tmp_path, given["catalog"], given["embeddings"], given["selection"])
    write_video_tables(tmp_path, given["catalog"], given["selection"])
    return tmp_path


def test_frames_csv_has_each_readable_frame_with_its_place_and_its_fate(tables, given):
    catalog, selection = given["catalog"], given["selection"]
    rows = read(tables / "frames.csv")
    assert [row["filename"] for row in rows] == catalog.names[: catalog.n_new]
    fates = dict.fromkeys(range(catalog.n_new), "duplicate") | dict.fromkeys(selection.removed.tolist(), "removed")
    fates |= dict.fromkeys(selection.selected.tolist(), "selected") | {int(selection.removed[3]): "filtered"}
    for i, row in enumerate(rows):
        video, index = parse_frame_name(row["filename"])
        assert (row["video"], int(row["frame_index"])) == (video, index)
        assert float(row["timestamp_sec"]) == pytest.approx(index / FPS)
        assert int(row["timestamp_pts"]) == 512 * index
        assert row["decision"] == fates[i]
    assert {row["decision"] for row in rows} == {"selected", "removed", "filtered", "duplicate"}


def test_times_that_a_video_does_not_say_are_empty(make_report_input, tmp_path):
    given = make_video_input(make_report_input, {"a.mp4": 3}, 1, timed=False)
    write_video_tables(tmp_path, given["catalog"], given["selection"])
    assert [(row["timestamp_pts"], row["timestamp_sec"]) for row in read(tmp_path / "frames.csv")] == [("", "")] * 3


def test_a_time_before_zero_is_a_time(make_report_input, tmp_path):
    given = make_video_input(make_report_input, {"a.mp4": 2}, 1)
    frames = replace(given["catalog"].frames, pts=np.array([-1, 511]), seconds=np.array([-1 / 512, 1.0]))
    write_video_tables(tmp_path, replace(given["catalog"], frames=frames), given["selection"])
    first = read(tmp_path / "frames.csv")[0]
    assert (first["timestamp_pts"], first["timestamp_sec"]) == ("-1", "-0.001953")


def test_videos_csv_counts_the_frames_of_each_video(tables, given):
    rows = {row["video"]: row for row in read(tables / "videos.csv")}
    assert set(rows) == {*LENGTHS, *BROKEN}
    fates = [(row["video"], row["decision"]) for row in read(tables / "frames.csv")]
    for video, length in LENGTHS.items():
        row = rows[video]
        assert (int(row["frames"]), int(row["looked_at"]), row["reason"]) == (length, length, "")
        assert int(row["corrupt_frames"]) == sum(name == video for name, _ in CORRUPT)
        assert int(row["selected"]) == fates.count((video, "selected"))
    assert [rows[video]["reason"] for video in BROKEN] == list(BROKEN.values())
    assert rows["kept.mp4"]["looked_at"] == "0"


def test_selection_csv_says_which_frame_of_which_video(tables):
    rows = read(tables / "selection.csv")
    assert list(rows[0])[-3:] == ["video", "frame_index", "timestamp_sec"]
    places = {row["filename"]: (row["video"], row["frame_index"], row["timestamp_sec"]) for row in rows}
    frames = {row["filename"]: row for row in read(tables / "frames.csv") if row["decision"] != "duplicate"}
    assert places == {name: (row["video"], row["frame_index"], row["timestamp_sec"]) for name, row in frames.items()}


@pytest.mark.parametrize("is_compiled", [False, True])
def test_labels_of_embeddings_are_the_videos(given, tmp_path, monkeypatch, is_compiled):
    if is_compiled:
        monkeypatch.setattr(embedding_lines, "_WORTH_COMPILING", 0)
    catalog = given["catalog"]
    path = tmp_path / "embeddings.csv"
    write_embeddings(
        path, catalog.names, given["embeddings"], np.arange(len(catalog.names)), labels=number_videos(catalog)
    )
    vectors, labels, names = load_embeddings(str(path))
    assert names == catalog.names
    np.testing.assert_array_equal(np.array(vectors, dtype=np.float32), given["embeddings"])
    videos = [*sorted([*LENGTHS, *BROKEN]), "elsewhere/b.mp4", "elsewhere/c.mp4"]
    assert labels == [videos.index(parse_frame_name(name)[0]) for name in names]


def test_images_have_no_tables_of_videos_and_the_label_0(make_report_input, tmp_path):
    given = make_report_input(3, 1)
    write_tables(tmp_path, given["catalog"], given["embeddings"], given["selection"])
    write_video_tables(tmp_path, given["catalog"], given["selection"])
    assert not {"frames.csv", "videos.csv"} & {path.name for path in tmp_path.iterdir()}
    assert {row["labels"] for row in read(tmp_path / "embeddings_all.csv")} == {"0"}
    assert "video" not in read(tmp_path / "selection.csv")[0]


def test_corrupt_videos_have_a_list_and_reasons_of_their_own(given, tmp_path, make_report_input):
    catalog = given["catalog"]
    write_name_lists(tmp_path, catalog, given["selection"])
    write_corruptness_check(tmp_path / "check.json", catalog)
    assert (tmp_path / "corrupt_videos.txt").read_text(encoding="utf-8").splitlines() == sorted(BROKEN)
    assert len((tmp_path / "corrupt_filenames.txt").read_text(encoding="utf-8").splitlines()) == len(CORRUPT)
    found = json.loads((tmp_path / "check.json").read_bytes())
    assert found == {"corrupt_samples": catalog.corrupt, "corrupt_videos": BROKEN}
    images = replace(make_report_input(2, 1)["catalog"], corrupt={"日本 \udc80.jpg": "empty"})
    write_corruptness_check(tmp_path / "images.json", images)
    expected = {"corrupt_samples": {"日本 \udc80.jpg": "empty"}, "corrupt_videos": {}}
    assert json.loads((tmp_path / "images.json").read_bytes()) == expected
