"""Runs over embeddings that the user gives: which images take part, what is not read, what the report says."""

import json

import numpy as np
import pytest
from lightly.utils.io import load_embeddings

from selection_job.errors import UnusableData
from selection_job.numeric.farthest_first import farthest_first

FILE = ".lightly/embeddings/mine.csv"
N = 12


@pytest.fixture
def images(tmp_path):
    """Twelve names that end like images, and hold nothing that could be decoded."""
    folder = tmp_path / "input"
    (folder / "sub").mkdir(parents=True)
    names = [f"{i:02}.jpg" for i in range(N - 1)] + ["sub/a, b.png"]
    for name in names:
        (folder / name).write_bytes(b"no picture")
    return names


@pytest.fixture
def vectors():
    return np.random.default_rng(3).normal(size=(N, 4)).astype(np.float32)


def table(names, vectors, **columns):
    """The text of a table; columns other than masked and selected go behind labels."""
    inner = [key for key in columns if key in ("masked", "selected")]
    outer = [key for key in columns if key not in inner]
    header = ["filenames", *(f"embedding_{i}" for i in range(vectors.shape[1])), *inner, "labels", *outer]
    lines = [",".join(header)]
    for row, (name, vector) in enumerate(zip(names, vectors.tolist(), strict=True)):
        quoted = f'"{name}"' if "," in name else name
        values = [*map(repr, vector), *(columns[key][row] for key in inner), 0, *(columns[key][row] for key in outer)]
        lines.append(",".join([quoted, *map(str, values)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def run(tmp_path, make_manifest, run_manifest):
    """Run over the images with a table of this text, or with the one that is there; with strategies for one image."""

    def run_with(text, strategies=None, *, drawn=False, **worker):
        path = tmp_path / "output" / FILE
        path.parent.mkdir(exist_ok=True)
        if text is not None:
            path.write_text(text, encoding="utf-8")
        worker = {"checkpoint": None, "embeddings": "mine.csv", "normalize_embeddings": False, **worker}
        spec = {"selectionConfig": {"n_samples": 1, "strategies": strategies}} if strategies else {}
        return run_manifest(make_manifest(tmp_path / "input", workerConfig=worker, **spec), drawn=drawn)

    return run_with


def test_images_are_chosen_by_their_given_vectors(run, images, vectors):
    done = run(table(images, vectors), stopping_condition={"n_samples": 4})
    order, _ = farthest_first(vectors[np.argsort(images)], 4)
    assert done.selected == [sorted(images)[i] for i in order]
    found, _, names = load_embeddings(str(done.folder / "data/embeddings.csv"))
    assert names == sorted(images)
    np.testing.assert_array_equal(found.astype(np.float32), vectors[np.argsort(images)])


def test_no_image_is_opened_to_select(run, images, vectors, monkeypatch):
    monkeypatch.setattr("selection_job.stages.embedding.read_images", None)
    done = run(table(images, vectors))
    assert done.summary.counts.model_dump(exclude_none=True) == {
        "input": N, "corrupt": 0, "duplicate": 0, "selected": 3, "removed": 9,
    }  # fmt: skip
    assert not (done.folder / "data/clean.csv").exists()
    assert not done.report["corruptImages"]["areChecked"]
    assert done.report["generalInformation"]["runInformation"]["encoder"]["source"] == f"embeddings {FILE}"
    assert any(f"No image was opened: embeddings come from {FILE}" in note for note in done.report_notes)


def test_images_and_rows_without_the_other_are_left_and_named(run, images, vectors):
    done = run(table([*images[1:], "gone.jpg"], vectors))
    assert done.summary.counts.input == N - 1
    assert any(f"1 image of the input has no row in {FILE} and takes no part: '00.jpg'" in n for n in done.report_notes)
    assert any(f"1 row of {FILE} names no image of the input: 'gone.jpg'" in note for note in done.report_notes)


def test_rows_of_images_that_the_relevant_list_leaves_out_are_not_said_to_name_none(run, images, vectors, tmp_path):
    (tmp_path / "output/.lightly/few.txt").write_text("\n".join(images[:4]))
    names = [*images[:-1], "gone.jpg"]
    done = run(table(names, vectors), relevant_filenames_file=".lightly/few.txt")
    left_out = "of images of the input that the list of relevant names or the datapool leaves out."
    assert f"{FILE}: {N - 5} rows are {left_out}" in done.report_notes
    assert [note for note in done.report_notes if "names no image" in note] == [
        f"1 row of {FILE} names no image of the input: 'gone.jpg'"
    ]
    with pytest.raises(UnusableData, match="has rows only of images that the list of relevant names or the datapool"):
        run(table(images[4:], vectors[4:]), relevant_filenames_file=".lightly/few.txt")


def test_names_that_are_spelled_otherwise_are_told_with_one_of_them(run, images, vectors):
    with pytest.raises(UnusableData, match=r"letter by letter: '00\.jpg' in place of '\./00\.jpg'\.$"):
        run(table([f"./{name}" for name in images], vectors))


def test_masked_rows_take_no_part(run, images, vectors):
    masked = [1, 1, *[0] * (N - 2)]
    done = run(table(images, vectors, masked=masked, selected=[0] * N), stopping_condition={"n_samples": "100%"})
    assert sorted(done.selected) == sorted(images[2:])
    assert any(f"2 images of the input are masked in {FILE}" in note for note in done.report_notes)


def mark(names, marked):
    return [int(name in marked) for name in names]


@pytest.fixture
def run_beside(run, images, vectors):
    """Run over the images, of which some are marked as selected before."""
    return lambda marked, **worker: run(table(images, vectors, selected=mark(images, marked)), **worker)


def test_rows_selected_before_push_the_choice_away_and_are_listed_as_a_pool_is(run_beside, images, vectors):
    before = ["02.jpg", "sub/a, b.png"]
    done = run_beside(before, stopping_condition={"n_samples": 4})
    order, _ = farthest_first(vectors, 4, preselected=np.array([images.index(name) for name in before]))
    assert done.selected == [images[i] for i in order]
    _, _, together = load_embeddings(str(done.folder / "data/selected_embeddings_including_datapool.csv"))
    assert together == [*before, *done.selected]
    assert done.summary.counts.model_dump(exclude_none=True) == {
        "input": N - 2, "corrupt": 0, "duplicate": 0, "selected": 4, "removed": N - 6,
    }  # fmt: skip
    assert any(f"2 images are marked as selected in {FILE}: they count as chosen" in n for n in done.report_notes)
    assert not set(before) & set(done.lines("removed_filenames.txt"))


def test_a_share_counts_from_the_images_that_were_not_selected_before(run_beside, images):
    assert len(run_beside(images[:2], stopping_condition={"n_samples": "50%"}).selected) == (N - 2) // 2


def test_an_image_equal_to_one_selected_before_is_a_duplicate_wherever_it_stands(run_beside, vectors):
    vectors[0] = vectors[3] = vectors[5]
    done = run_beside(["05.jpg", "03.jpg"], stopping_condition={"n_samples": "100%"})
    assert done.lines("duplicate_filenames.txt") == ["00.jpg"]
    assert len(done.selected) == N - 3


def test_scores_stay_with_their_images_beside_ones_selected_before(run, images, vectors):
    scores = [1.0 if name == "07.jpg" else 1e-6 for name in images]
    text = table(images, vectors, selected=mark(images, ["00.jpg"]), al_score=scores)
    assert run(text, method="coral", stopping_condition={"n_samples": 2}).selected[0] == "07.jpg"


def test_metadata_stays_with_its_images_beside_ones_selected_before(run, images, vectors, tmp_path):
    folder = tmp_path / "output/.lightly/metadata"
    folder.mkdir(parents=True)
    schema = [{"name": "Wanted", "path": "wanted", "defaultValue": 0, "valueDataType": "NUMERIC_INT"}]
    (folder / "schema.json").write_text(json.dumps(schema))
    for name in images:
        path = (folder / name).with_suffix(".json")
        path.parent.mkdir(exist_ok=True)
        content = {"file_name": name, "type": "image", "metadata": {"wanted": int(name == "07.jpg")}}
        path.write_text(json.dumps(content))
    wish = {"input": {"type": "METADATA", "key": "wanted"}, "strategy": {"type": "WEIGHTS"}}
    text = table(images, vectors, selected=mark(images, ["00.jpg"]))
    assert run(text, [wish], stopping_condition=None).selected == ["07.jpg"]


def test_a_table_in_which_all_was_selected_before_is_refused(run_beside, images):
    with pytest.raises(UnusableData, match=r"every image of .* is marked as selected before, or masked"):
        run_beside(images)


def test_columns_that_are_not_used_are_named(run, images, vectors):
    done = run(table(images, vectors, weather=["fair"] * N))
    assert any("these columns are not used: 'weather'" in note for note in done.report_notes)


def test_the_column_al_score_weighs_the_choice_with_coral_and_is_named_without(run, images, vectors):
    scores = [1.0 if name == "07.jpg" else 1e-6 for name in images]
    done = run(table(images, vectors, al_score=scores), method="coral", stopping_condition={"n_samples": 2})
    assert done.selected[0] == "07.jpg"
    assert not any("al_score is not used" in note for note in done.report_notes)
    plain = run(None, method="coreset", stopping_condition={"n_samples": 2})
    assert any(f"{FILE}: the column al_score is not used" in note for note in plain.report_notes)


def test_equal_vectors_are_duplicates(run, images, vectors):
    vectors[5] = vectors[2]
    vectors[7, :] = 0
    vectors[9, :] = -0.0
    done = run(table(images, vectors))
    assert done.lines("duplicate_filenames.txt") == ["05.jpg", "09.jpg"]
    assert done.report["exactDuplicates"]["comparedBy"] == "vectors"
    kept = run(table(images, vectors), remove_exact_duplicates=False)
    assert kept.summary.counts.duplicate == 0


def test_the_output_of_a_run_is_the_input_of_the_next(run, images, vectors):
    first = run(table(images, vectors))
    key = f"{first.place.run_key}data/embeddings.csv"
    second = run(None, embeddings=key)
    assert second.selected == first.selected


def test_a_changed_table_is_read_again(run, images, vectors):
    first = run(table(images, vectors))
    again = run(None)
    assert again.summary == first.summary
    assert again.place.progress.stage_seconds.keys() == {"INITIALIZING", "LOADING_DATASET"}
    changed = run(table(images, vectors[::-1]))
    assert "SAMPLING" in changed.place.progress.stage_seconds


def test_a_missing_table_is_named_with_where_it_was_sought(tmp_path, images, make_manifest, run_manifest):
    worker = {"checkpoint": None, "embeddings": "other.csv"}
    with pytest.raises(
        UnusableData, match=r"embeddings names 'other\.csv', and .*/\.lightly/embeddings/other\.csv does"
    ):
        run_manifest(make_manifest(tmp_path / "input", workerConfig=worker))


def test_a_table_of_other_images_is_refused_with_both_names(run, images, vectors):
    with pytest.raises(UnusableData, match=r"None of the 12 names in .*: '/data/00\.jpg', .* beside '00\.jpg'"):
        run(table([f"/data/{name}" for name in images], vectors))


def test_all_images_masked_leave_nothing(run, images, vectors):
    with pytest.raises(UnusableData, match=r"every image of .* that has a row is masked"):
        run(table(images, vectors, masked=[1] * N))


def test_options_of_embedding_have_no_effect_and_say_so(run, images, vectors):
    done = run(table(images, vectors), checkpoint=".lightly/absent.ckpt", decoder="fast")
    for key in ("workerConfig.checkpoint", "workerConfig.decoder", "lightlyConfig.model", "lightlyConfig.collate"):
        assert any(f"spec.{key} has no effect: embeddings are given" in note for note in done.report_notes), key


@pytest.mark.slow
def test_pictures_in_the_report_are_made_of_the_few_images_shown(run, tmp_path, images, vectors):
    from PIL import Image

    for name in images:
        Image.new("RGB", (20, 20), "red").save(tmp_path / "input" / name)
    done = run(table(images, vectors), drawn=True)
    assert (done.folder / "report.pdf").stat().st_size > 10_000
    json.loads((done.folder / "report.json").read_bytes())
    assert done.place.source.bytes_read > 0
