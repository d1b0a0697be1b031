"""Runs with an encoder from a folder: images, frames of videos and objects alike."""

import json

import numpy as np
import pytest
import torch
import yaml
from encoder_folders import CLIP_CONFIG, write_open_clip, write_timm
from lightly.utils.io import load_embeddings
from painted_videos import make_video
from PIL import Image

from selection_job.errors import UnusableData

ENCODER = ".lightly/encoders/tiny/"


@pytest.fixture
def folder(tmp_path):
    """Twelve pictures."""
    random = np.random.default_rng(0)
    (tmp_path / "input").mkdir()
    for n in range(12):
        pixels = np.repeat(np.repeat(random.integers(0, 256, (3, 4, 3), dtype=np.uint8), 20, axis=0), 20, axis=1)
        Image.fromarray(pixels).save(tmp_path / f"input/{n:02}.png")
    return tmp_path / "input"


@pytest.fixture
def manifest(make_manifest):
    """Return a function (input folder, encoder_config, **spec) -> manifest that names the folder."""

    def make(folder, settings=None, **spec):
        worker = {
            "checkpoint": None,
            "encoder": ENCODER,
            "encoder_config": settings or {},
            "normalize_embeddings": False,
        }
        lightly = {"model": None, "collate": None, **spec.pop("lightlyConfig", {})}
        return make_manifest(
            folder, workerConfig={**worker, **spec.pop("workerConfig", {})}, lightlyConfig=lightly, **spec
        )

    return make


def _vectors(done):
    return np.array(load_embeddings(str(done.folder / "data/embeddings.csv"))[0], dtype=np.float32)


def test_images_are_embedded_by_the_folder_s_network_which_report_and_config_name(
    tmp_path, run_manifest, manifest, folder
):
    network = write_timm(tmp_path / "output" / ENCODER, "test_efficientnet", crop_mode="squash", crop_pct=1.0)
    network.reset_classifier(0)
    done = run_manifest(manifest(folder))
    mean, std = (torch.tensor(network.default_cfg[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    for vector, path in zip(_vectors(done), sorted(folder.iterdir()), strict=True):
        small = Image.open(path).resize((160, 160), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1) / 255
        assert np.abs(network(((pixels - mean) / std)[None]).numpy()[0] - vector).max() <= 1e-4
    about = json.loads((done.folder / "report.json").read_text())["generalInformation"]["runInformation"]["encoder"]
    assert about["source"] == f"encoder {ENCODER}"
    assert (about["name"], about["licence"], about["inputSize"]) == ("test_efficientnet", "apache-2.0", 160)
    again = run_manifest(yaml.safe_load((done.folder / "config/config.yaml").read_text(encoding="utf-8")))
    assert (again.folder / "data/embeddings.csv").read_bytes() == (done.folder / "data/embeddings.csv").read_bytes()


def test_a_clip_s_vectors_have_its_joint_dimensions_in_either_format(tmp_path, run_manifest, manifest, folder):
    write_open_clip(tmp_path / "output" / ENCODER, CLIP_CONFIG)
    full = _vectors(run_manifest(manifest(folder, {"resize": "SQUASH", "input_size": 64})))
    half = _vectors(
        run_manifest(
            manifest(folder, {"resize": "SQUASH", "input_size": 64}, lightlyConfig={"trainer": {"precision": 16}})
        )
    )
    assert full.shape == half.shape == (12, 24)
    cosines = (full * half).sum(axis=1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosines.min() > 0.99


def test_frames_of_videos_are_embedded_as_images_are(tmp_path, run_manifest, manifest):
    write_open_clip(tmp_path / "output" / ENCODER, CLIP_CONFIG)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(make_video(10, "libx264"))
    done = run_manifest(manifest(tmp_path / "videos", dataset={"type": "VIDEOS", "name": "drives"}))
    assert _vectors(done).shape == (10, 24)


def test_the_built_in_encoder_takes_size_and_resize_too(tmp_path, run_manifest, manifest, folder):
    def run(**settings):
        return run_manifest(manifest(folder, settings, workerConfig={"encoder": "BUILT_IN"}))

    plain, cropped = run(), run(input_size=64, resize="CROP")
    about = json.loads((cropped.folder / "report.json").read_text())["generalInformation"]["runInformation"]["encoder"]
    assert about["inputSize"] == 64
    assert about["preprocessing"].startswith("the middle ")
    assert np.abs(_vectors(plain) - _vectors(cropped)).max() > 1e-3


def test_a_folder_that_is_not_there_ends_the_run_with_the_layouts(run_manifest, manifest, folder):
    with pytest.raises(
        UnusableData, match=r"spec.workerConfig.encoder: .*tiny/: holds no configuration of a network"
    ) as error:
        run_manifest(manifest(folder))
    assert error.value.exit_code == 3
