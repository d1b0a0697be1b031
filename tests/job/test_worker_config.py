"""Each key of workerConfig that this version carries out, seen in a file or a count."""

import io

import numpy as np
import pytest
import torch
from lightly.utils.io import load_embeddings
from PIL import Image


@pytest.fixture
def run(run_manifest, make_manifest, photos):
    """Run over the photos with changes to workerConfig."""

    def run_with(*, drawn=False, **worker):
        return run_manifest(make_manifest(photos.folder, workerConfig=worker), drawn=drawn)

    return run_with


def selected_vectors(done):
    return load_embeddings(str(done.folder / "data/selected_embeddings.csv"))[0]


def test_enable_corruptness_check_false_uses_a_cut_image_as_far_as_it_goes(run, photos):
    done = run(enable_corruptness_check=False)
    assert done.lines("corrupt_filenames.txt") == ["broken/empty.jpg", "broken/notes.jpg"]
    assert "broken/cut.jpg" in load_embeddings(str(done.folder / "data/embeddings.csv"))[2]
    assert not (done.folder / "data/clean.csv").exists()


def test_remove_exact_duplicates_false_lets_copies_take_part(run, photos):
    done = run(remove_exact_duplicates=False)
    assert done.lines("duplicate_filenames.txt") == []
    assert load_embeddings(str(done.folder / "data/embeddings.csv"))[2] == photos.readable


def test_method_random_takes_others_than_coreset_and_the_seed_decides_which(run_manifest, make_manifest, photos):
    coreset = run_manifest(make_manifest(photos.folder))
    random = run_manifest(make_manifest(photos.folder, workerConfig={"method": "random"}))
    reseeded = run_manifest(make_manifest(photos.folder, workerConfig={"method": "random"}, lightlyConfig={"seed": 2}))
    assert len({tuple(done.selected) for done in (coreset, random, reseeded)}) == 3


@pytest.mark.parametrize(("n_samples", "count"), [(0.25, 10), ("50%", 20), (7, 7), ("100%", 33), (500, 33)])
def test_n_samples_is_a_share_of_all_images_or_a_count(run, n_samples, count):
    assert len(run(stopping_condition={"n_samples": n_samples}).selected) == count


def test_more_samples_than_there_are_keeps_all_and_says_so(run):
    done = run(stopping_condition={"n_samples": 500})
    assert done.lines("removed_filenames.txt") == []
    assert any("500 images were asked for and 33 are there" in note for note in done.report_notes)


def test_min_distance_keeps_selected_images_apart_and_leaves_no_gap(run):
    done = run(stopping_condition={"n_samples": -1, "min_distance": 0.05})
    vectors = selected_vectors(done)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) + 9 * np.eye(len(vectors))
    assert distances.min() >= 0.05 - 1e-6
    assert 1 < len(vectors) < 33


def test_whichever_stopping_condition_is_reached_first_wins(run):
    few = run(stopping_condition={"n_samples": 3, "min_distance": 1e-6})
    far = run(stopping_condition={"n_samples": 33, "min_distance": 2.0})
    assert (len(few.selected), len(far.selected)) == (3, 1)


def test_normalize_embeddings_false_selects_on_the_lengths_too(run):
    assert run(normalize_embeddings=False).selected != run().selected


def test_relevant_filenames_file_narrows_the_input(run_manifest, make_manifest, photos, tmp_path):
    manifest = make_manifest(photos.folder, workerConfig={"relevant_filenames_file": ".lightly/relevant.txt"})
    (tmp_path / "output/.lightly/relevant.txt").write_text("UPPER.JPEG\nwalk 1/frame_0.jpg\nno such.jpg\n")
    done = run_manifest(manifest)
    assert load_embeddings(str(done.folder / "data/embeddings.csv"))[2] == ["UPPER.JPEG", "walk 1/frame_0.jpg"]
    assert any("no such.jpg" in note for note in done.report_notes)


def test_dump_dataset_with_output_image_size_and_format_writes_resized_copies(run):
    done = run(dump_dataset=True, output_image_size=20, output_image_format="webp")
    copies = sorted((done.folder / "data/sampled").rglob("*.webp"))
    assert len(copies) == len(done.selected)
    for path in copies:
        with Image.open(path) as image:
            assert (image.format, min(image.size)) == ("WEBP", 20)


def test_output_image_size_of_two_numbers_is_height_and_width(run):
    done = run(dump_dataset=True, output_image_size=[10, 30])
    with Image.open(next((done.folder / "data/sampled").rglob("*.png"))) as image:
        assert image.size == (30, 10)


@pytest.mark.slow
@pytest.mark.parametrize("n", [0, 2, 8])
def test_n_example_images_is_the_number_of_filter_decision_plots(run, n):
    plots = run(n_example_images=n, drawn=True).folder / "plots"
    names = sorted(path.name for path in plots.glob("filter_decision_*"))
    assert names == sorted(f"filter_decision_{11 * i}.png" for i in range(n))


def test_num_threads_reads_with_that_many_threads_and_changes_nothing(run):
    assert run(num_threads=1).selected == run(num_threads=5).selected


def test_decoder_is_named_in_the_report_and_fast_gives_nearly_the_same_vectors(run):
    exact, fast = run(), run(decoder="fast")
    pairs = [load_embeddings(str(done.folder / "data/embeddings.csv"))[0] for done in (exact, fast)]
    cosines = (pairs[0] * pairs[1]).sum(1) / np.linalg.norm(pairs[0], axis=1) / np.linalg.norm(pairs[1], axis=1)
    assert cosines.min() > 0.999
    assert '"decoder":"fast"' in (fast.folder / "report.json").read_text().replace(" ", "")


def test_checkpoint_decides_the_embeddings(run_manifest, make_manifest, photos, tmp_path):
    first = run_manifest(make_manifest(photos.folder))
    state = torch.load(tmp_path / "output/.lightly/start.ckpt", weights_only=True)
    state["state_dict"]["model.backbone.7.bias"] += 1
    torch.save(state, tmp_path / "output/.lightly/other.ckpt")
    other = run_manifest(make_manifest(photos.folder, workerConfig={"checkpoint": ".lightly/other.ckpt"}))
    difference = selected_vectors(other)[0] - selected_vectors(first)[0]
    np.testing.assert_allclose(difference, 1, atol=1e-4)


@pytest.mark.slow
def test_an_earlier_runs_checkpoint_can_be_used(run_manifest, make_manifest, photos):
    trained = run_manifest(
        make_manifest(
            photos.folder,
            workerConfig={"enable_training": True},
            lightlyConfig={"trainer": {"max_epochs": 1, "gpus": 0}, "pre_trained": False},
        )
    )
    key = str(trained.folder / "lightly_epoch_0.ckpt").partition("/output/")[2]
    again = run_manifest(make_manifest(photos.folder, workerConfig={"checkpoint": key}))
    assert again.selected == trained.selected


def test_thumbnail_suffix_decides_where_thumbnails_lie(run_manifest, make_manifest, photos, tmp_path):
    manifest = make_manifest(photos.folder)
    manifest["spec"]["datasources"]["lightly"]["thumbnailSuffix"] = "small/[filename]-s.[extension]"
    done = run_manifest(manifest)
    written = sorted(str(p.relative_to(tmp_path / "output/small")) for p in (tmp_path / "output/small").rglob("*.*"))
    assert len(written) == len(done.selected)
    content = (tmp_path / "output/small" / written[0]).read_bytes()
    assert max(Image.open(io.BytesIO(content)).size) <= 128


def test_selection_config_diversity_equals_the_legacy_coreset(run_manifest, make_manifest, photos):
    strategy = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
    config = {"proportion_samples": 0.25, "strategies": [strategy]}
    manifest = make_manifest(photos.folder, selectionConfig=config, workerConfig={"stopping_condition": None})
    assert run_manifest(manifest).selected == run_manifest(make_manifest(photos.folder)).selected


def test_selection_config_random_weights_use_their_seed(run_manifest, make_manifest, photos):
    def selected(seed):
        strategy = {"input": {"type": "RANDOM", "random_seed": seed}, "strategy": {"type": "WEIGHTS"}}
        config = {"n_samples": 5, "strategies": [strategy]}
        return run_manifest(
            make_manifest(photos.folder, selectionConfig=config, workerConfig={"stopping_condition": None})
        ).selected

    assert selected(1) != selected(2)
    assert len(selected(3)) == 5


def test_keys_without_effect_are_said_in_the_report(run):
    done = run(scorer="object-frequency", active_learning={"task_name": "", "score_name": "uncertainty_margin"})
    assert any("scorer" in note for note in done.report_notes)


@pytest.mark.slow
def test_with_only_bytes_already_read_nothing_is_read_again(run, photos):
    done = run(drawn=True)
    listed = sum((photos.folder / name).stat().st_size for name in [*photos.readable, *photos.corrupt])
    assert done.place.source.bytes_read == listed
