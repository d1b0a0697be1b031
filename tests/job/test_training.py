"""Training as a whole: repeatable, resumable at any batch, and clear about what goes wrong."""

import math
import random
import subprocess
import sys
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch

from selection_job.encoder.architecture import build_model
from selection_job.encoder.checkpoints import read_checkpoint, write_checkpoint
from selection_job.encoder.learner import Learner
from selection_job.encoder.loading import load_trained
from selection_job.errors import InvalidManifest, Stopped, StorageUnavailable, UnusableData
from selection_job.process.progress import Progress

STEPS = 8  # 10 pictures in batches of 3, drop_last false, 2 epochs


@pytest.fixture
def config(tiny_config):
    return tiny_config(loader={"batch_size": 3, "drop_last": False}, criterion={"memory_bank_size": 20})


class StopAt(Progress):
    """Stops the run as a signal would, when the bar comes to a batch."""

    def __init__(self, step, error=Stopped):
        super().__init__(quiet=True)
        self.step, self.error = step, error

    def bar(self, description, total, unit="images", **options):
        outer = super().bar(description, total, unit, **options)
        step, error = self.step, self.error

        class Stopping:
            def __enter__(self):
                bar = outer.__enter__()

                def show(n):
                    if bar.done == step:
                        raise error("stopped")

                bar.show = show
                return bar

            def __exit__(self, *exception):
                return outer.__exit__(*exception)

        return Stopping()


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_trainings_write_the_same_bytes_whatever_the_workers_and_other_random_draws(train, tiny_config, tmp_path):
    first = train(tiny_config(), folder=tmp_path / "a")
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    second = train(tiny_config(loader={"num_workers": 3}), folder=tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_training_leaves_the_callers_random_states_and_settings(train, tiny_config):
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    train(tiny_config())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all() and random.getstate() == before[2]
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("step", [1, 3, 4, 6, STEPS])
def test_a_stopped_training_goes_on_to_the_same_bytes(train, config, tmp_path, step):
    train(config, folder=tmp_path / "whole")
    with pytest.raises(Stopped):
        train(config, folder=tmp_path / "cut", progress=StopAt(step))
    encoder = train(config, folder=tmp_path / "resumed", resume_checkpoint=tmp_path / "cut" / "last.ckpt")
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")
    assert encoder.source == "trained"


@pytest.mark.parametrize("place", ["torch.autograd.backward", "torch.optim.SGD.zero_grad"])
@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_training_stopped_inside_a_batch_goes_on_to_the_same_bytes(train, config, tmp_path, monkeypatch, place, call):
    train(config, folder=tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(place, failing_at(place, call))
        with pytest.raises(KeyboardInterrupt):
            train(config, folder=tmp_path / "cut")
    train(config, folder=tmp_path / "resumed", resume_checkpoint=tmp_path / "cut" / "last.ckpt")
    assert files(tmp_path / "resumed") == files(tmp_path / "whole")


def failing_at(place, call):
    original = torch.autograd.backward if place.endswith("backward") else torch.optim.SGD.zero_grad
    calls = 0

    def fail(*args, **options):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return original(*args, **options)

    return fail


def test_a_stop_while_weights_change_keeps_the_checkpoint_before(train, config, tmp_path, monkeypatch):
    handed = []
    original = torch.optim.SGD.step

    def step(self, *args, **options):
        original(self, *args, **options)
        if len(handed) == 1:  # after the first epoch
            raise Stopped("stopped")

    monkeypatch.setattr("torch.optim.SGD.step", step)
    with pytest.raises(Stopped):
        clock = count(0, 61).__next__
        train(
            config,
            on_checkpoint=lambda path: handed.append(path.read_bytes()),
            progress=Progress(quiet=True, clock=clock),
        )
    assert [(tmp_path / "training" / "last.ckpt").read_bytes()] == handed


def test_last_ckpt_is_handed_over_at_the_end_after_long_epochs_and_every_5_minutes(train, config):
    def steps_handed_over(seconds_a_look):
        now, steps = 0.0, []

        def clock():
            nonlocal now
            now += seconds_a_look
            return now

        def hand_over(path):
            steps.append(read_checkpoint(path).settings["training"]["learner"]["steps_done"])

        train(config, on_checkpoint=hand_over, progress=Progress(quiet=True, clock=clock))
        return steps

    assert steps_handed_over(1) == [8]
    assert steps_handed_over(30) == [4, 8]
    assert steps_handed_over(301) == [1, 2, 3, 4, 4, 5, 6, 7, 8, 8]


def test_a_training_goes_on_only_from_its_own_checkpoint(train, config, tiny_config, tmp_path, caplog):
    train(tiny_config(seed=5), folder=tmp_path / "other")
    whole = train(config, folder=tmp_path / "whole")
    anew = train(config, folder=tmp_path / "anew", resume_checkpoint=tmp_path / "other" / "last.ckpt")
    assert anew.fingerprint == whole.fingerprint
    assert "belongs to another training" in caplog.text


def test_a_damaged_last_ckpt_starts_the_training_anew(train, config, tmp_path, caplog):
    (tmp_path / "last.ckpt").write_bytes(b"damaged")
    encoder = train(config, resume_checkpoint=tmp_path / "last.ckpt")
    assert "Training starts anew" in caplog.text
    assert read_checkpoint(encoder.checkpoint).settings["epoch"] in (0, 1)


def test_a_forged_last_ckpt_is_refused(train, config, tmp_path):
    train(config)
    forged = read_checkpoint(tmp_path / "training" / "last.ckpt")
    training = {**forged.settings["training"], "learner": {"steps_done": "many"}}
    write_checkpoint(tmp_path / "last.ckpt", forged.weights, settings={**forged.settings, "training": training})
    with pytest.raises(UnusableData, match="is damaged"):
        train(config, resume_checkpoint=tmp_path / "last.ckpt")


def test_training_starts_from_a_given_checkpoint(train, tiny_config, tmp_path):
    config = tiny_config(trainer={"max_epochs": 0}, pre_trained=True)
    start = build_model(config.model, seed=77)
    write_checkpoint(tmp_path / "start.ckpt", start.state_dict(), settings={})
    encoder = train(config, start_checkpoint=tmp_path / "start.ckpt")
    assert torch.equal(encoder.model.backbone[7].weight, start.backbone[7].weight)


def test_the_epoch_of_the_lowest_mean_loss_embeds(train, tiny_config):
    config = tiny_config(trainer={"max_epochs": 4}, checkpoint_callback={"save_top_k": -1})
    encoder = train(config)
    losses = {
        path.name: read_checkpoint(path).settings["loss"]
        for path in encoder.checkpoint.parent.glob("lightly_epoch_*.ckpt")
    }
    assert len(losses) == 4
    assert encoder.checkpoint.name == min(losses, key=losses.get)


CROPS_ONLY = {"min_scale": 0.5} | dict.fromkeys(
    ("cj_prob", "random_gray_scale", "gaussian_blur", "hf_prob", "vf_prob", "rr_prob"), 0
)


def test_the_loss_falls_from_chance_where_views_differ_by_their_crop(train, tiny_config):
    config = tiny_config(
        trainer={"max_epochs": 8}, loader={"batch_size": 10}, checkpoint_callback={"save_top_k": -1}, collate=CROPS_ONLY
    )
    folder = train(config).checkpoint.parent
    first, last = (read_checkpoint(folder / f"lightly_epoch_{epoch}.ckpt").settings["loss"] for epoch in (0, 7))
    assert first == pytest.approx(math.log(19), abs=0.2)  # the other view among the 19 others of a batch
    assert last < first - 0.5


def test_what_training_returns_can_be_loaded_again(train, tiny_config, tmp_path):
    config = tiny_config(checkpoint_callback={"save_top_k": 2, "dirpath": "models"})
    encoder = train(config)
    again = load_trained(config, tmp_path / "training")
    assert (again.fingerprint, again.checkpoint, again.source) == (encoder.fingerprint, encoder.checkpoint, "trained")


def test_an_image_that_is_gone_or_broken_is_replaced_by_the_next(train, tiny_config, make_images, tmp_path, caplog):
    images = make_images()
    objects = dict(images.store.objects)
    objects["03.png"] = b"broken"
    del objects["09.png"]
    damaged = replace(images, store=type(images.store)(objects))
    objects_replaced = {**images.store.objects, "03.png": objects["04.png"], "09.png": objects["00.png"]}
    expected = replace(images, store=type(images.store)(objects_replaced))
    encoder = train(tiny_config(), images=damaged, folder=tmp_path / "a")
    assert "skips '03.png': not an image" in caplog.text
    assert encoder.fingerprint == train(tiny_config(), images=expected, folder=tmp_path / "b").fingerprint


def test_images_that_are_all_gone_end_the_training(train, tiny_config, make_images):
    images = make_images()
    with pytest.raises(UnusableData, match="can't read 10 images in a row"):
        train(tiny_config(), images=replace(images, store=type(images.store)({})))


class FailingStore:
    parallel_reads = 1

    def __init__(self, objects):
        self.objects = objects

    def read(self, key):
        if key == "05.png":
            raise StorageUnavailable("The storage timed out.")
        return self.objects[key]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_fault_of_the_storage_arrives_as_it_was_raised(train, tiny_config, make_images, num_workers):
    images = make_images()
    failing = replace(images, store=FailingStore(images.store.objects))
    with pytest.raises(StorageUnavailable) as caught:
        train(tiny_config(loader={"num_workers": num_workers}), images=failing)
    assert str(caught.value) == "The storage timed out."


def test_a_learning_rate_that_diverges_is_the_manifests_fault(train, tiny_config, tmp_path):
    with pytest.raises(InvalidManifest, match=r"diverged.*optimizer\.lr \(it is 1e\+30; try 1e\+29\)"):
        train(tiny_config(optimizer={"lr": 1e30}))
    assert not list(tmp_path.rglob("lightly_epoch_*"))


def test_one_image_trains_with_a_note(train, tiny_config, make_images, caplog):
    images = make_images()
    encoder = train(tiny_config(), images=replace(images, names=images.names[:1]))
    assert "nothing to contrast" in encoder.notes[0] and encoder.notes[0] in caplog.text
    assert all(bool(torch.isfinite(weight).all()) for weight in encoder.model.parameters())


def test_no_image_is_unusable(train, tiny_config, make_images):
    with pytest.raises(UnusableData, match="no image to train on"):
        train(tiny_config(), images=replace(make_images(), names=[]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"collate": {"input_size": 8}, "loader": {"batch_size": 9, "drop_last": False}},
            "batch norm can't be trained",
        ),
        ({"checkpoint_callback": {"save_top_k": 0, "save_last": False}}, "keep no checkpoint to embed with"),
    ],
    ids=["one pixel of one image", "no checkpoint kept"],
)
def test_a_config_that_cant_be_trained_with_is_refused(train, tiny_config, changes, words):
    with pytest.raises(InvalidManifest, match=words):
        train(tiny_config(**changes))


def test_nothing_is_written_outside_the_folder(train, tiny_config, tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    train(tiny_config(loader={"num_workers": 1}))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cwd", "training"]
    assert not list((tmp_path / "cwd").iterdir())


def test_the_bar_tells_epoch_and_loss(train, tiny_config):
    progress = Progress(quiet=True)
    seen = []
    train(tiny_config(), progress=progress, on_checkpoint=lambda path: seen.append(progress.position.bar))
    assert seen[0].total == seen[0].done == 4
    assert seen[0].description.startswith("Training, epoch 2 of 2, loss ")


def test_decoder_fast_reads_large_jpegs_smaller_but_no_smaller_than_the_smallest_crop_needs(make_images):
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (1600, 1200), (200, 100, 50)).save(buffer, "JPEG")
    images = make_images()
    exact = replace(images, store=type(images.store)({"00.png": buffer.getvalue()}))
    fast = replace(exact, decoder="fast")
    assert exact.read(0, target_px=100).size == fast[0].size == (1600, 1200)
    assert fast.read(0, target_px=100).size == (400, 300)


NARROW_TRAINING = """
import torch
from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import build_model
from selection_job.encoder.learner import Learner

config = LightlyConfig.model_validate({"model": {"name": "resnet-9", "width": 0.125}, "optimizer": {"lr": 0.1}})
for batch_size in (3, 5, 7):
    learner = Learner(build_model(config.model), config, torch.device("cpu"))
    for _ in range(30):
        learner.step(torch.randn(2, batch_size, 3, 16, 16))
"""


@pytest.mark.slow
def test_narrow_networks_train_in_odd_batches_without_corrupting_memory():
    """With activations channels last oneDNN writes past its buffers here, and the process dies of it."""
    assert subprocess.run([sys.executable, "-c", NARROW_TRAINING], check=False, timeout=300).returncode == 0


@pytest.mark.parametrize(("width", "last"), [(0.125, False), (0.3, False), (0.25, True), (1, True)])
def test_activations_lie_channels_last_where_channels_fill_vectors(tiny_config, width, last):
    config = tiny_config(model={"width": width})
    learner = Learner(build_model(config.model), config, torch.device("cpu"))
    assert learner.model.backbone[4][0].conv1.weight.is_contiguous(memory_format=torch.channels_last) == last
