"""Runs over videos: frames by their names, files of the selected ones, sampling, datapool, resume, training."""

import io
import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
from lightly.utils.io import load_embeddings
from painted_videos import make_video, read_number
from PIL import Image
from stopping_bar import StoppingBar

from selection_api import ManifestError, check_supported, parse_manifest
from selection_job.catalog.frame_names import parse_frame_name
from selection_job.catalog.listing import list_videos
from selection_job.errors import Stopped, UnusableData
from selection_job.images.thumbnails import Thumbnails
from selection_job.manifest.reading import load_manifest
from selection_job.numeric.farthest_first import farthest_first
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.publishing import publishing
from selection_job.results.pictures.frame_images import FramePictures
from selection_job.run.context import set_up
from selection_job.stages import training_frames
from selection_job.stages.encoder import load_encoder_for_run
from selection_job.stages.videos import embed_videos

EXAMPLES = Path(__file__).parents[2] / "examples"
N = 30
VIDEOS = {"cam/a.mp4": "libx264", "cam/a-1.webm": "libvpx-vp9", "b.avi": "mpeg4"}
ORDER = sorted(VIDEOS)


@pytest.fixture(scope="module")
def contents():
    return {
        name: make_video(N, codec, numbers=range(40 * i, 40 * i + N)) for i, (name, codec) in enumerate(VIDEOS.items())
    }


@pytest.fixture
def folder(tmp_path, contents):
    path = tmp_path / "input"
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def manifest(make_manifest, folder):
    def make(dataset=None, **spec):
        worker = {"normalize_embeddings": False, "remove_exact_duplicates": False, **spec.pop("workerConfig", {})}
        dataset = {"type": "VIDEOS", "name": "drives", **(dataset or {})}
        return make_manifest(folder, dataset=dataset, workerConfig=worker, **spec)

    return make


@pytest.fixture
def without_report(monkeypatch):
    """Most of a small run's time goes into plots and the PDF, which these tests don't look at."""
    monkeypatch.setattr(publishing, "_write_report", lambda *_: {})


def names_of(video, indices=range(N)):
    stem, _, extension = video.rpartition(".")
    return [f"{stem}-{index:02}-{extension}.png" for index in indices]


def first_number(video):
    return 40 * list(VIDEOS).index(video)


def embeddings_in(done):
    vectors, labels, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    return np.array(vectors, dtype=np.float32), labels, names


def check_pictures(done, extension="png"):
    """The picture of each selected frame is the frame that its name says."""
    assert done.selected
    for name in done.selected:
        video, index = parse_frame_name(name)
        with Image.open(done.folder / "data/sampled" / name.replace(".png", f".{extension}")) as image:
            assert read_number(image) == first_number(video) + index, name


@pytest.mark.slow
def test_each_frame_has_a_name_and_each_selected_one_a_picture_that_shows_it(manifest, run_manifest, folder):
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "cam/photo.jpg").write_bytes(b"no video either")
    done = run_manifest(manifest(), drawn=True)
    vectors, labels, names = embeddings_in(done)
    assert names == [name for video in ORDER for name in names_of(video)]
    assert labels == [ORDER.index(parse_frame_name(name)[0]) + (parse_frame_name(name)[0] != "b.avi") for name in names]
    picks, _ = farthest_first(vectors, len(names) // 4)
    assert done.selected == [names[row] for row in picks.tolist()]
    check_pictures(done)
    assert len(list((done.folder / "data/sampled").rglob("*.*"))) == len(done.selected)
    counts = done.summary.counts
    assert (counts.input, counts.corrupt, counts.selected) == (3 * N, 0, 3 * N // 4)
    assert "broken.mp4" in (done.folder / "filenames/corrupt_videos.txt").read_text().splitlines()
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*.*") if path.suffix != ".jpg")
    run_information = done.report["generalInformation"]["runInformation"]
    assert run_information["bytesRead"] - run_information["bytesReread"] == size_bytes


def test_every_nth_frame_keeps_the_names_of_the_frames(manifest, run_manifest, without_report):
    done = run_manifest(manifest({"everyNthFrame": 7}))
    assert embeddings_in(done)[2] == [name for video in ORDER for name in names_of(video, range(0, N, 7))]
    check_pictures(done)


def test_target_fps_takes_so_many_frames_a_second(manifest, run_manifest, without_report):
    done = run_manifest(manifest({"targetFps": 10}))
    assert embeddings_in(done)[2] == [name for video in ORDER for name in names_of(video, range(0, N, 3))]


@pytest.mark.parametrize("extension", ["jpg", "webp"])
def test_selected_frames_are_written_in_the_format_and_size_asked_for(
    manifest, run_manifest, without_report, extension
):
    worker = {"output_image_format": extension, "output_image_size": 60}
    done = run_manifest(manifest(workerConfig=worker))
    check_pictures(done, extension)
    with Image.open(next((done.folder / "data/sampled").rglob("*.*"))) as image:
        assert min(image.size) == 60


def test_no_pictures_are_written_where_they_are_not_wanted(manifest, run_manifest, without_report):
    done = run_manifest(manifest(workerConfig={"dump_dataset": False}))
    assert done.selected
    assert not (done.folder / "data/sampled").exists()


def test_relevant_filenames_name_videos(manifest, run_manifest, without_report, tmp_path):
    (tmp_path / "output/.lightly/relevant.txt").write_text("cam/a.mp4\n")
    done = run_manifest(manifest(workerConfig={"relevant_filenames_file": ".lightly/relevant.txt"}))
    assert {parse_frame_name(name)[0] for name in embeddings_in(done)[2]} == {"cam/a.mp4"}


def test_thumbnails_of_selected_frames_show_them(manifest, run_manifest, without_report, tmp_path):
    given = manifest()
    given["spec"]["datasources"]["lightly"]["thumbnailSuffix"] = ".lightly/thumbnails/[filename]_thumb.[extension]"
    done = run_manifest(given)
    for name in done.selected:
        video, index = parse_frame_name(name)
        with Image.open(tmp_path / "output/.lightly/thumbnails" / f"{name.removesuffix('.png')}_thumb.png") as image:
            assert read_number(image) == first_number(video) + index


def test_a_thumbnail_that_fell_out_of_the_cache_is_made_from_the_video(
    manifest, run_manifest, without_report, tmp_path
):
    done = run_manifest(manifest(workerConfig={"dump_dataset": False}))
    listing = list_videos(done.place.source, done.place.target)
    catalog = embed_videos(done.place, listing, load_encoder_for_run(done.place)).catalog
    pictures = FramePictures(done.place.source, listing, catalog, Thumbnails(tmp_path / "empty", 10**6))
    for name in (catalog.names[0], catalog.names[N + 17], catalog.names[-1]):
        video, index = parse_frame_name(name)
        with Image.open(io.BytesIO(pictures.find_thumbnail(name))) as image:
            assert read_number(image) == first_number(video) + index
    assert pictures.find_thumbnail("cam/gone-00-mp4.png") is None


def test_a_finished_run_is_not_run_again_until_a_video_changes(manifest, run_manifest, folder):
    first = run_manifest(manifest())
    again = run_manifest(manifest())
    assert again.summary == first.summary
    assert again.place.source.bytes_read == 0
    (folder / "b.avi").write_bytes(make_video(N - 5, "mpeg4", numbers=range(80, 80 + N - 5)))
    assert run_manifest(manifest()).summary.counts.input == 3 * N - 5


def test_metadata_of_frames_is_looked_up_by_their_names(manifest, run_manifest, without_report, tmp_path):
    lightly = tmp_path / "output/.lightly/metadata"
    lightly.mkdir()
    schema = [{"name": "speed", "path": "speed", "defaultValue": 0, "valueDataType": "NUMERIC_INT"}]
    (lightly / "schema.json").write_text(json.dumps(schema))
    for video in ORDER:
        for index, name in enumerate(names_of(video)):
            path = lightly / f"{name.removesuffix('.png')}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            content = {"type": "image", "metadata": {"speed": index if video == "cam/a.mp4" else 0}}
            path.write_text(json.dumps(content))
    given = {"input": {"type": "METADATA", "key": "speed"}, "strategy": {"type": "WEIGHTS"}}
    worker = {"stopping_condition": None}
    selection = {"n_samples": 4, "strategies": [given]}
    done = run_manifest(manifest(workerConfig=worker, selectionConfig=selection))
    assert done.selected == names_of("cam/a.mp4", [29, 28, 27, 26])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"type": "SCORES", "task": "t", "score": "uncertainty_entropy"}, "predictions/tasks.json does not exist"),
        ({"type": "METADATA", "key": "speed"}, "metadata/schema.json does not exist"),
    ],
)
def test_a_missing_schema_is_told_before_a_video_is_opened(manifest, run_manifest, folder, given, sentence):
    selection = {"n_samples": 4, "strategies": [{"input": given, "strategy": {"type": "WEIGHTS"}}]}
    for path in folder.rglob("*.*"):
        path.write_bytes(b"text")
    with pytest.raises(UnusableData, match=sentence):
        run_manifest(manifest(workerConfig={"stopping_condition": None}, selectionConfig=selection))


POOL = {"use_datapool": True, "stopping_condition": {"n_samples": 5}}


class TestDatapool:
    """Two runs over a folder that grows are one run over all, the first picks being preselected."""

    @pytest.fixture
    def run(self, manifest, run_manifest, without_report):
        def run(name, **worker):
            return run_manifest(manifest(workerConfig={**POOL, **worker}) | {"metadata": {"name": name}})

        return run

    def test_a_second_run_looks_at_new_videos_and_keeps_away_from_the_first_picks(self, run, folder, contents):
        (folder / "cam/a.mp4").unlink()
        first = run("monday")
        (folder / "cam/a.mp4").write_bytes(contents["cam/a.mp4"])
        second = run("tuesday")
        assert {parse_frame_name(name)[0] for name in second.selected} == {"cam/a.mp4"}
        vectors, _, names = embeddings_in(second)
        assert names == [*names_of("cam/a.mp4"), *first.selected]
        picks, _ = farthest_first(vectors, 5, preselected=np.arange(N, N + 5))
        assert second.selected == [names[row] for row in picks.tolist()]
        assert second.summary.counts.input == N

    def test_process_all_looks_at_the_frames_that_were_not_picked(self, run):
        first = run("monday")
        second = run("tuesday", datasource={"process_all": True})
        assert not set(first.selected) & set(second.selected)
        vectors, _, names = embeddings_in(second)
        assert sorted(names) == sorted(name for video in ORDER for name in names_of(video))
        picks, _ = farthest_first(vectors, 5, preselected=np.arange(3 * N - 5, 3 * N))
        assert second.selected == [names[row] for row in picks.tolist()]

    def test_frames_of_a_video_that_has_changed_leave_the_pool(self, run, folder):
        first = run("monday")
        assert any(name.startswith("b-") for name in first.selected)
        (folder / "b.avi").write_bytes(make_video(N, "mpeg4", numbers=range(100, 100 + N)))
        second = run("tuesday")
        kept = [name for name in first.selected if not name.startswith("b-")]
        assert embeddings_in(second)[2] == [*names_of("b.avi"), *kept]
        (folder / "new.avi").write_bytes(make_video(N, "mpeg4", numbers=range(140, 140 + N)))
        third = run("wednesday")
        assert embeddings_in(third)[2] == [*names_of("new.avi"), *kept, *second.selected]

    def test_frames_of_a_touched_video_stay_in_the_pool(self, run, folder):
        first = run("monday")
        for path in folder.rglob("*.*"):
            os.utime(path, (1, 1))
        (folder / "new.avi").write_bytes(make_video(N, "mpeg4", numbers=range(140, 140 + N)))
        assert embeddings_in(run("tuesday"))[2] == [*names_of("new.avi"), *first.selected]

    def test_nothing_new_is_told(self, run):
        run("monday")
        with pytest.raises(UnusableData, match=r"Nothing is new: all 3 videos in .* Add videos, or set"):
            run("tuesday")


class Stopping(Progress):
    """Raises Stopped when so many steps of a bar are done, as the signal handler would."""

    def __init__(self, description, steps):
        super().__init__(quiet=True)
        self._description, self._steps = description, steps

    def bar(self, shown, total, unit="images", **options):
        manager = super().bar(shown, total, unit, **options)
        return StoppingBar(manager, self._steps) if shown.startswith(self._description) else manager


@pytest.mark.slow
@pytest.mark.parametrize(
    ("description", "steps"), [("Decoding and embedding", 3), ("Writing selected frames", 4), ("Training", 2)]
)
def test_a_run_that_was_cut_off_goes_on_and_ends_with_the_same_files(
    manifest, run_manifest, without_report, tmp_path, description, steps
):
    trained = {"enable_training": True, "checkpoint": None}
    one = {"pre_trained": False, "trainer": {"max_epochs": 1}}
    given = manifest(workerConfig=trained, lightlyConfig=one)
    scratch = tmp_path / "cut off"
    scratch.mkdir()
    with pytest.raises(Stopped):
        run_pipeline(set_up(parse_manifest(given), scratch, Stopping(description, steps)))
    resumed = run_manifest(given)
    check_pictures(resumed)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    given["spec"]["datasources"]["lightly"]["resourcePath"] = str(elsewhere)
    whole = run_manifest(given)
    for file in ("filenames/sampled_filenames_excluding_datapool.txt", "data/embeddings.csv"):
        assert (resumed.folder / file).read_bytes() == (whole.folder / file).read_bytes()


@pytest.fixture
def report_of_notes(monkeypatch):
    """A report of nothing but the notes."""
    monkeypatch.setattr(publishing, "write_report", lambda *_, facts, **__: {"notes": facts.notes})


@pytest.mark.slow
def test_a_training_takes_a_bounded_choice_of_frames(manifest, run_manifest, report_of_notes, monkeypatch):
    monkeypatch.setattr(training_frames, "MOST_TRAINING_FRAMES", 10)
    trained = {"enable_training": True, "checkpoint": None}
    one = {"pre_trained": False, "trainer": {"max_epochs": 1}, "loader": {"batch_size": 5}}
    done = run_manifest(manifest(workerConfig=trained, lightlyConfig=one))
    assert any(note.startswith(f"10 of {3 * N} frames were trained on") for note in done.report_notes)
    assert len(list((done.place.scratch / "training_frames").iterdir())) == 10
    assert list(done.folder.glob("lightly_epoch_0.ckpt"))


def test_a_run_cut_off_behind_its_training_still_tells_how_many_frames_were_trained_on(
    manifest, run_manifest, report_of_notes, tmp_path, monkeypatch
):
    monkeypatch.setattr(training_frames, "MOST_TRAINING_FRAMES", 10)
    trained = {"enable_training": True, "checkpoint": None}
    one = {"pre_trained": False, "trainer": {"max_epochs": 1}, "loader": {"batch_size": 5}}
    given = manifest(workerConfig=trained, lightlyConfig=one)
    scratch = tmp_path / "cut off"
    scratch.mkdir()
    with pytest.raises(Stopped):
        run_pipeline(set_up(parse_manifest(given), scratch, Stopping("Decoding and embedding", 3)))
    resumed = run_manifest(given)
    assert "TRAINING" in resumed.place.progress.stage_seconds
    assert not (resumed.place.scratch / "training_frames").exists()
    assert f"10 of {3 * N} frames were trained on, evenly drawn by a hash." in resumed.report_notes


def test_videos_none_of_which_can_be_decoded_end_the_run(manifest, run_manifest, folder):
    for path in folder.rglob("*.*"):
        path.write_bytes(b"text")
    with pytest.raises(UnusableData, match=r"All 3 videos are corrupt; the first is 'b\.avi'"):
        run_manifest(manifest())
    for name in ("cam/a.mp4", "cam/a-1.webm"):
        (folder / name).unlink()
    with pytest.raises(UnusableData, match=r"The only video is corrupt: 'b\.avi' \(not a video"):
        run_manifest(manifest())


def test_a_folder_of_images_says_which_type_takes_them(manifest, run_manifest, folder):
    for path in folder.rglob("*.*"):
        path.rename(path.with_suffix(".png"))
    with pytest.raises(UnusableData, match=r"no video in .* 3 images \(dataset type VIDEOS takes no images; spec.data"):
        run_manifest(manifest())


def test_what_does_not_go_with_videos_is_refused(manifest):
    with pytest.raises(ManifestError, match=r"lightly.sizeInBytes|input\[0\]|strategies\[0\].input.key"):
        given = {"input": {"type": "METADATA", "key": "lightly.sizeInBytes"}, "strategy": {"type": "WEIGHTS"}}
        selection = {"n_samples": 4, "strategies": [given]}
        document = manifest(workerConfig={"stopping_condition": None}, selectionConfig=selection)
        check_supported(parse_manifest(document))


@pytest.mark.slow
def test_the_example_runs_over_the_demo_videos(run_manifest, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)  # the script takes photographs from its neighbour
    script = runpy.run_path(str(EXAMPLES / "make_demo_videos.py"))
    folders = {"input": tmp_path / "videos", "lightly": tmp_path / "output"}
    for _ in range(2):
        assert script["main"](["--input", str(folders["input"]), "--output", str(folders["lightly"])]) == 0
    given = load_manifest((EXAMPLES / "videos.yaml").read_text(encoding="utf-8"))
    for purpose, path in folders.items():
        given["spec"]["datasources"][purpose]["resourcePath"] = str(path)
    done = run_manifest(given, drawn=True)
    assert done.summary.counts.input == 105
    assert len(done.selected) == 10
    assert (done.folder / "filenames/corrupt_videos.txt").read_text() == "front/damaged.mp4\n"
    assert len(list((done.folder / "data/sampled").rglob("*.png"))) == 10
