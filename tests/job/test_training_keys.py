"""Every lightlyConfig key that concerns training changes a view, a weight, a file or a count."""

import logging
import os

import numpy as np
import pytest
import torch
from lightly.transforms.utils import IMAGENET_NORMALIZE

from selection_job.encoder.architecture import build_model
from selection_job.encoder.checkpoints import read_checkpoint
from selection_job.encoder.training import count_workers
from selection_job.encoder.views import TrainingBatches, TrainingViews, load_views

STILL = {
    "cj_prob": 0, "random_gray_scale": 0, "gaussian_blur": 0, "hf_prob": 0, "vf_prob": 0, "rr_prob": 0, "min_scale": 1,
}  # fmt: skip
JITTER = {**STILL, "cj_prob": 1, "cj_bright": 0, "cj_contrast": 0, "cj_sat": 0, "cj_hue": 0}

RAMP = np.repeat(np.linspace(0, 255, 32)[None, :, None], 32, axis=0).repeat(3, axis=2)  # dark left, bright right
CHECKS = np.kron(np.indices((16, 16)).sum(0) % 2, np.ones((2, 2)))[:, :, None].repeat(3, axis=2) * 255
ORANGE = np.full((32, 32, 3), (200, 120, 40))
TWO_TONES = np.concatenate([np.full((32, 16, 3), 60), np.full((32, 16, 3), 160)], axis=1)


@pytest.fixture
def views_of(make_images, tiny_config):
    """Views (2, n, 3, s, s) in [0, 1] of n copies of a picture, augmented as collate says."""

    def make(picture, n=8, **collate):
        config = tiny_config(collate={"input_size": 16, **collate}, loader={"batch_size": n}, trainer={"max_epochs": 1})
        images = make_images([picture] * n)
        batches = TrainingBatches(n, config)
        (views,) = load_views(TrainingViews(images, config), batches, num_workers=0, pin=False)
        mean, std = (torch.tensor(IMAGENET_NORMALIZE[key]).reshape(3, 1, 1) for key in ("mean", "std"))
        return views * std + mean

    return make


def slope(views, dim):
    """How much brighter the end is than the start, along rows (-2) or columns (-1)."""
    halves = views.chunk(2, dim=dim)
    return (halves[1].mean(dim=(2, 3, 4)) - halves[0].mean(dim=(2, 3, 4))).flatten()


def contrast(views):
    return views.std(dim=(2, 3, 4)).flatten()


def saturation(views):
    return (views.amax(dim=2) - views.amin(dim=2)).mean(dim=(2, 3)).flatten()


def red_to_green(views):
    colours = views.mean(dim=(3, 4))
    return (colours[:, :, 0] - colours[:, :, 1]).flatten()


def spread(values):
    return float(values.max() - values.min())


def test_input_size_is_the_edge_of_a_view(views_of):
    assert views_of(RAMP, input_size=24).shape == (2, 8, 3, 24, 24)


def test_cj_prob_decides_how_many_views_change_colour(views_of):
    colours = [views_of(ORANGE, **{**STILL, "cj_prob": p}).mean(dim=(3, 4)).flatten(end_dim=1) for p in (0, 0.5, 1)]
    plain = colours[0][0]
    changed = [int(((colour - plain).abs().amax(dim=1) > 0.01).sum()) for colour in colours]
    assert changed[0] == 0 and changed[2] == 16
    assert 0 < changed[1] < 16


@pytest.mark.parametrize(
    ("key", "picture", "measure"),
    [
        ("cj_bright", ORANGE, lambda views: views.mean(dim=(2, 3, 4)).flatten()),
        ("cj_contrast", TWO_TONES, contrast),
        ("cj_sat", ORANGE, saturation),
        ("cj_hue", ORANGE, red_to_green),
    ],
    ids=["cj_bright", "cj_contrast", "cj_sat", "cj_hue"],
)
def test_each_colour_jitter_changes_its_own_measure_and_more_with_more(views_of, key, picture, measure):
    none, little, much = (spread(measure(views_of(picture, **{**JITTER, key: amount}))) for amount in (0, 0.1, 0.5))
    assert none < 0.001 < 0.01 < little < much


def test_min_scale_bounds_how_small_a_crop_is(views_of):
    seen = [
        views.amax(dim=(2, 3, 4)) - views.amin(dim=(2, 3, 4))
        for views in (views_of(RAMP, **{**STILL, "min_scale": scale}) for scale in (0.9, 0.05))
    ]
    assert float(seen[0].min()) > 0.7
    assert float(seen[1].min()) < 0.5


def test_random_gray_scale_takes_the_colour(views_of):
    assert float(saturation(views_of(ORANGE, **{**STILL, "random_gray_scale": 1})).max()) < 0.01
    assert float(saturation(views_of(ORANGE, **STILL)).min()) > 0.5


def test_gaussian_blur_smooths(views_of):
    sharp, blurred = (
        contrast(views_of(CHECKS, **{**STILL, "input_size": 32, "gaussian_blur": p, "sigmas": [2, 2]})) for p in (0, 1)
    )
    assert float(blurred.max()) < 0.5 * float(sharp.min())


def test_sigmas_say_how_much_it_smooths(views_of):
    little, much = (
        contrast(views_of(CHECKS, **{**STILL, "input_size": 32, "gaussian_blur": 1, "sigmas": sigmas}))
        for sigmas in ([0.1, 0.3], [4, 5])
    )
    assert float(much.max()) < 0.5 * float(little.min())


def test_hf_prob_mirrors_left_and_right(views_of):
    assert bool((slope(views_of(RAMP, **STILL), -1) > 0.2).all())
    assert bool((slope(views_of(RAMP, **{**STILL, "hf_prob": 1}), -1) < -0.2).all())


def test_vf_prob_mirrors_up_and_down(views_of):
    upright = RAMP.transpose(1, 0, 2)
    assert bool((slope(views_of(upright, **STILL), -2) > 0.2).all())
    assert bool((slope(views_of(upright, **{**STILL, "vf_prob": 1}), -2) < -0.2).all())


def test_rr_prob_rotates_by_90_degrees(views_of):
    turned = views_of(RAMP, **{**STILL, "rr_prob": 1})
    assert bool((slope(turned, -2) < -0.2).all())
    assert float(slope(turned, -1).abs().max()) < 0.05


@pytest.mark.parametrize(("degrees", "sign"), [([180, 180], -1), ([0, 0], 1), (0, 1)])
def test_rr_degrees_is_the_angle(views_of, degrees, sign):
    turned = slope(views_of(RAMP, **{**STILL, "rr_prob": 1, "rr_degrees": degrees}), -1)
    assert bool((sign * turned > 0.2).all())


@pytest.fixture
def rows_by_batch(make_images, tiny_config):
    """Which pictures each batch of a training holds, told by their grey; 10 pictures, 2 epochs."""

    def make(**loader):
        pictures = [np.full((16, 16, 3), 20 * row) for row in range(10)]
        config = tiny_config(collate=STILL, loader=loader)
        views = TrainingViews(make_images(pictures), config)
        greys = IMAGENET_NORMALIZE["std"][0], IMAGENET_NORMALIZE["mean"][0]
        batches = load_views(views, TrainingBatches(10, config), num_workers=0, pin=False)
        return [
            [round(float(view[0].mean()) * greys[0] * 12.75 + greys[1] * 12.75) for view in batch[0]]
            for batch in batches
        ]

    return make


def test_batch_size_and_drop_last_shape_the_batches(rows_by_batch):
    assert [len(rows) for rows in rows_by_batch(batch_size=4, drop_last=True)] == [4, 4] * 2
    assert [len(rows) for rows in rows_by_batch(batch_size=4, drop_last=False)] == [4, 4, 2] * 2
    assert [len(rows) for rows in rows_by_batch(batch_size=64, drop_last=True)] == [10] * 2


def test_shuffle_orders_each_epoch_anew(rows_by_batch):
    ordered = rows_by_batch(batch_size=10, shuffle=False)
    first, second = rows_by_batch(batch_size=10, shuffle=True)
    assert ordered == [list(range(10))] * 2
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second != list(range(10)) != first


class PidStore:
    parallel_reads = 1

    def __init__(self, store, folder):
        self.store, self.folder = store, folder

    def read(self, key):
        (self.folder / str(os.getpid())).touch()
        return self.store.read(key)


@pytest.mark.parametrize(("num_workers", "n_readers"), [(0, 1), (1, 1), (3, 3)])
def test_num_workers_is_how_many_processes_read(num_workers, n_readers, train, tiny_config, make_images, tmp_path):
    from dataclasses import replace

    folder = tmp_path / "pids"
    folder.mkdir()
    images = make_images()
    train(
        tiny_config(loader={"num_workers": num_workers, "batch_size": 2}),
        images=replace(images, store=PidStore(images.store, folder)),
    )
    readers = {path.name for path in folder.iterdir()}
    assert len(readers) == n_readers
    assert (str(os.getpid()) in readers) == (num_workers == 0)


def test_num_workers_of_minus_one_is_one_a_core(tiny_config):
    config = tiny_config(loader={"num_workers": -1})
    assert count_workers(config, 4) == len(os.sched_getaffinity(0))


def test_workers_whose_batches_do_not_fit_shared_memory_are_left_out(tiny_config, monkeypatch, caplog):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")(64 * 1024**2, 0, 64 * 1024**2)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    config = tiny_config(collate={"input_size": 224}, loader={"num_workers": 8})
    assert count_workers(config, 16) == 1
    assert "not 8" in caplog.text


def weights_of(encoder):
    return read_checkpoint(encoder.checkpoint).weights


def test_the_model_keys_shape_the_network(train, tiny_config):
    model = {"name": "resnet-18", "width": 0.25, "num_ftrs": 12, "out_dim": 20}
    weights = weights_of(train(tiny_config(model=model, trainer={"max_epochs": 0})))
    assert "backbone.3.1.conv1.weight" in weights  # resnet-9 has one block a layer
    assert weights["backbone.1.weight"].shape[0] == 16
    assert weights["backbone.7.weight"].shape[0] == 12
    assert weights["projection_head.layers.2.weight"].shape == (20, 12)


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 2},
        {"criterion": {"temperature": 0.1}},
        {"criterion": {"memory_bank_size": 32}},
        {"optimizer": {"lr": 0.2}},
        {"optimizer": {"lr": 0.1, "weight_decay": 0.5}},
        {"loader": {"batch_size": 5}},
        {"collate": {"cj_prob": 0}},
    ],
    ids=str,
)
def test_a_changed_key_changes_the_weights(train, tiny_config, tmp_path, changes):
    before = train(tiny_config(), folder=tmp_path / "before")
    after = train(tiny_config(**changes), folder=tmp_path / "after")
    assert not same(weights_of(before), weights_of(after))


def test_a_learning_rate_of_zero_leaves_the_weights(train, tiny_config):
    config = tiny_config(optimizer={"lr": 0})
    trained = dict(train(config).model.named_parameters())
    assert same(trained, dict(build_model(config.model, seed=config.seed).named_parameters()))


def test_weight_decay_shrinks_the_weights(train, tiny_config, tmp_path):
    sizes = [
        sum(float(weight.square().sum()) for weight in train(config, folder=tmp_path / "x").model.parameters())
        for config in (tiny_config(optimizer={"lr": 0.1, "weight_decay": decay}) for decay in (0, 1))
    ]
    assert sizes[1] < 0.8 * sizes[0]


def test_the_memory_bank_holds_as_many_projections_as_asked(train, tiny_config):
    encoder = train(tiny_config(criterion={"memory_bank_size": 32}))
    last = read_checkpoint(encoder.checkpoint.with_name("last.ckpt"))
    bank, pointer = last.settings["training"]["learner"]["memory_bank"]
    assert bank.shape == (32, 16)
    assert int(pointer) == 4 * 4  # 4 batches of 4


def test_max_epochs_is_how_often_training_sees_the_images(train, tiny_config):
    encoder = train(tiny_config(trainer={"max_epochs": 3}, checkpoint_callback={"save_top_k": -1}))
    names = sorted(path.name for path in encoder.checkpoint.parent.iterdir())
    assert names == ["last.ckpt", "lightly_epoch_0.ckpt", "lightly_epoch_1.ckpt", "lightly_epoch_2.ckpt"]


def test_no_epochs_keep_the_initial_weights(train, tiny_config):
    config = tiny_config(trainer={"max_epochs": 0})
    encoder = train(config)
    assert same(weights_of(encoder), build_model(config.model, seed=config.seed).state_dict())
    assert [path.name for path in encoder.checkpoint.parent.iterdir()] == ["lightly_epoch_0.ckpt"]


def test_precision_16_computes_with_fewer_digits(train, tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"bf16": True})  # where it has none, PyTorch emulates it
    full = train(tiny_config(), folder=tmp_path / "32")
    half = train(tiny_config(trainer={"precision": 16}), folder=tmp_path / "16")
    distance = max(
        float((a - b).abs().max()) for a, b in zip(full.model.parameters(), half.model.parameters(), strict=True)
    )
    assert 1e-5 < distance < 0.5


def test_precision_16_without_bfloat16_stays_at_32_and_says_so(train, tiny_config, tmp_path, monkeypatch, caplog):
    full = train(tiny_config(), folder=tmp_path / "32")
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx2": True})
    half = train(tiny_config(trainer={"precision": 16}), folder=tmp_path / "16")
    assert half.fingerprint == full.fingerprint
    assert "no bfloat16 instructions" in caplog.text


@pytest.mark.parametrize(("gpus", "said"), [(0, False), (1, True)])
def test_a_gpu_that_is_asked_for_and_not_there_is_mentioned(train, tiny_config, caplog, monkeypatch, gpus, said):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    train(tiny_config(trainer={"gpus": gpus, "max_epochs": 1}))
    assert ("no GPU is visible" in caplog.text) == said


@pytest.mark.parametrize("enabled", [True, False])
def test_enable_model_summary_shows_the_network_in_the_log(train, tiny_config, caplog, enabled):
    with caplog.at_level(logging.INFO, logger="selection_job"):
        encoder = train(tiny_config(trainer={"enable_model_summary": enabled, "max_epochs": 0}))
    total = sum(weight.numel() for weight in encoder.model.parameters())
    assert (f"{total:,}" in caplog.text) == enabled


def files_after(train, tiny_config, **callback):
    encoder = train(tiny_config(trainer={"max_epochs": 3}, checkpoint_callback=callback))
    return sorted(path.name for path in encoder.checkpoint.parent.iterdir()), encoder.checkpoint.name


def test_save_top_k_keeps_the_epochs_of_the_lowest_loss(train, tiny_config):
    names, chosen = files_after(train, tiny_config, save_top_k=2)
    assert len(names) == 3 and "last.ckpt" in names and chosen in names


def test_without_top_k_the_last_epoch_embeds(train, tiny_config):
    assert files_after(train, tiny_config, save_top_k=0) == (["last.ckpt"], "last.ckpt")


def test_save_last_off_leaves_the_best_epoch_only(train, tiny_config):
    names, chosen = files_after(train, tiny_config, save_last=False)
    assert names == [chosen] and chosen.startswith("lightly_epoch_")


def test_dirpath_is_where_the_checkpoints_lie(train, tiny_config, tmp_path):
    encoder = train(tiny_config(checkpoint_callback={"dirpath": "models/simclr"}))
    assert encoder.checkpoint.parent == (tmp_path / "training" / "models" / "simclr").resolve()
    assert [path.name for path in (tmp_path / "training").iterdir()] == ["models"]
