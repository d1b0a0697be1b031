"""The built-in encoder: the real file, on pictures of the demo; where nothing else is said it embeds."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from demo_scenes import EXAMPLES, assert_every_scene, make_dataset
from PIL import Image
from skimage import data
from testbed.merging import merge

from selection_api import parse_manifest
from selection_job.encoder import built_in
from selection_job.encoder.built_in import Fold, load_built_in
from selection_job.encoder.embedding import embed_pixels
from selection_job.errors import UnusableData
from selection_job.pipeline import run_pipeline
from selection_job.process.progress import Progress
from selection_job.run.context import set_up

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder():
    return load_built_in()


def make_pixels(n):
    return np.random.default_rng(0).integers(0, 256, (n, 128, 128, 3)).astype(np.uint8)


def test_its_vectors_are_those_of_timms_network_folded(encoder):
    import timm

    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    built_in._fill(whole.eval(), built_in._load_weights())
    pixels = make_pixels(4)
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        wide = whole(images).numpy()
    signs = np.sign(Fold(1280, 640).signs.numpy())
    expected = (wide[:, :640] * signs[:640] + wide[:, 640:] * signs[640:]) / np.sqrt(2)
    (found,) = embed_pixels(encoder, [pixels], device=CPU)
    assert found.shape == (4, encoder.dimensions) == (4, 640)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.usefixtures("one_thread")
def test_the_same_pictures_give_the_same_bytes_on_any_number_of_threads(encoder):
    batches = [make_pixels(n) for n in (1, 5, 16, 40)]
    one = list(embed_pixels(encoder, batches, device=CPU))
    for n_threads in (2, 3, 4):
        torch.set_num_threads(n_threads)
        several = list(embed_pixels(encoder, batches, device=CPU))
        assert [vectors.tobytes() for vectors in several] == [vectors.tobytes() for vectors in one]


@pytest.mark.parametrize(("n", "d"), [(1280, 640), (1280, 256), (6, 3)])
def test_a_fold_is_an_orthonormal_projection_and_the_same_everywhere(n, d):
    rows = Fold(n, d)(torch.eye(n)).T.double().numpy()
    np.testing.assert_allclose(rows @ rows.T, np.eye(d), atol=1e-7)
    assert [int(sign) for sign in np.sign(Fold(8, 4).signs.numpy())] == [1, -1, 1, 1, -1, -1, -1, -1]


def test_its_fingerprint_follows_from_what_it_computes_alone(encoder):
    assert load_built_in().fingerprint == encoder.fingerprint
    assert load_built_in(input_size_px=96).fingerprint != encoder.fingerprint
    assert load_built_in(resize="CROP").fingerprint != encoder.fingerprint


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("_SHA256", "0" * 64, "is not the one that this version was made for"),
        ("_PACKAGE", "no_such_package_at_all", "with its extra 'job'"),
        ("_FILE", "models/another.pth", "with its extra 'job'"),
    ],
)
def test_a_file_that_is_missing_or_another_one_ends_with_a_sentence(monkeypatch, name, value, said):
    monkeypatch.setattr(built_in, name, value)
    with pytest.raises(UnusableData, match=said):
        load_built_in()


def test_it_knows_the_cat_of_two_pictures_from_the_coffee(encoder):
    """Left and right halves have no pixel in common."""
    halves = []
    for photograph in (data.chelsea(), data.coffee(), data.rocket(), data.astronaut()):
        image = Image.fromarray(photograph)
        width, height = image.size
        halves += [image.crop((0, 0, width // 2, height)), image.crop((width // 2, 0, width, height))]
    pixels = np.stack([encoder.preprocessing.make_pixels(half) for half in halves])
    (vectors,) = embed_pixels(encoder, [pixels], device=CPU)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit[0::2] @ unit[1::2].T).argmax(axis=1).tolist() == [0, 1, 2, 3]


@pytest.fixture
def few_photos(photos, tmp_path):
    """Two pictures of each of six scenes."""
    folder = tmp_path / "few"
    for path in photos.folder.glob("walk */frame_[01].jpg"):
        target = folder / path.relative_to(photos.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return folder


@pytest.fixture
def without_network(make_manifest):
    """Return a function (folder, **spec) -> manifest that says nothing of an encoder."""

    def make(folder, **spec):
        worker = {"checkpoint": None, **spec.pop("workerConfig", {})}
        silent = {"model": None, "collate": None, **spec.pop("lightlyConfig", {})}
        return make_manifest(folder, workerConfig=worker, lightlyConfig=silent, **spec)

    return make


def test_a_manifest_that_says_nothing_embeds_with_it_and_its_config_yaml_gives_the_same_bytes(
    run_manifest, without_network, few_photos
):
    first = run_manifest(without_network(few_photos))
    config = yaml.safe_load((first.folder / "config/config.yaml").read_text(encoding="utf-8"))
    assert config["spec"]["workerConfig"]["encoder"] == "BUILT_IN"
    assert "model" not in config["spec"]["lightlyConfig"]
    assert "input_size" not in config["spec"]["lightlyConfig"]["collate"]
    again = run_manifest(config)
    assert again.folder != first.folder
    kept = [path for path in sorted(first.folder.rglob("*")) if path.suffix in {".csv", ".txt"}]
    assert len(kept) >= 10
    for path in [*kept, first.folder / "config/config.yaml"]:
        assert (again.folder / path.relative_to(first.folder)).read_bytes() == path.read_bytes(), path.name
    aloud = run_manifest(without_network(few_photos, workerConfig={"encoder": "BUILT_IN"}))
    table = "data/embeddings.csv"
    assert (aloud.folder / table).read_bytes() == (first.folder / table).read_bytes()


def test_the_report_names_it_with_its_licence_and_what_it_sees(run_manifest, without_network, few_photos):
    encoder = run_manifest(without_network(few_photos)).report["generalInformation"]["runInformation"]["encoder"]
    assert (encoder["source"], encoder["name"], encoder["licence"]) == ("built in", "EfficientNet-Lite0", "Apache-2.0")
    assert encoder["inputSize"] == 128
    assert encoder["preprocessing"].startswith("the whole image, resized to 128 x 128 pixels")


def test_a_pool_of_another_encoder_is_refused_with_the_way_to_go_on(tmp_path, without_network, checkpoint, few_photos):
    def run(name, **worker):
        pooled = {"use_datapool": True, "stopping_condition": {"n_samples": 2}, **worker}
        spec = {"dataset": {"name": "cats"}, "workerConfig": pooled}
        if "checkpoint" in worker:
            spec["lightlyConfig"] = NETWORK
        manifest = merge(without_network(few_photos, **spec), {"metadata": {"name": name}})
        (tmp_path / "scratch" / name).mkdir(parents=True)
        run_pipeline(set_up(parse_manifest(manifest), tmp_path / "scratch" / name, Progress(quiet=True)))

    run("monday", checkpoint=".lightly/start.ckpt")
    shutil.copy(few_photos / "walk 0/frame_0.jpg", few_photos / "new.jpg")
    with pytest.raises(UnusableData, match=r"embeds by built in .* set spec.workerConfig.checkpoint: .lightly/start"):
        run("tuesday")


NETWORK = {"model": {"name": "resnet-9", "width": 0.25, "num_ftrs": 16}, "collate": {"input_size": 32}}


@pytest.mark.slow
@pytest.mark.root
def test_the_first_example_completes_without_a_way_out_and_picks_every_scene_of_the_demo(tmp_path):
    folder, output = tmp_path / "input", tmp_path / "output"
    make_dataset(folder, output)
    text = (EXAMPLES / "simple.yaml").read_text(encoding="utf-8")
    path = tmp_path / "simple.yaml"
    path.write_text(text.replace("/tmp/selection-demo", str(tmp_path)), encoding="utf-8")
    command = ["unshare", "--net", sys.executable, "-m", "selection_job", "run", str(path)]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (list_of_picks,) = output.glob(".lightly/runs/*/filenames/sampled_filenames_excluding_datapool.txt")
    picks = list_of_picks.read_text(encoding="utf-8").splitlines()
    assert len(picks) == 40
    assert_every_scene(folder, picks)
