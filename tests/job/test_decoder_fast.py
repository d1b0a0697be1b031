"""decoder fast on the demo's JPEGs: nearly the same embeddings, from fewer decoded pixels."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import build_model
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import make_encoder
from selection_job.images.preprocessing import Preprocessing
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.local.store import LocalStore

SCRIPT = Path(__file__).parents[2] / "examples/make_demo_dataset.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A part of the demo's photographs in a store, and their names."""
    specification = importlib.util.spec_from_file_location("make_demo_dataset", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("demo")
    files = module.make_dataset(module.LEAST_IMAGES, seed=0)
    names = sorted(name for name in files if name.endswith(".jpg") and not name.startswith("broken/"))
    module.write_new(folder, {name: files[name] for name in names})
    return LocalStore(folder), names


def test_fast_decoding_keeps_the_cosine_above_09999(demo):
    store, names = demo
    config = LightlyConfig.model_validate({"model": {"name": "resnet-9"}})
    encoder = make_encoder(build_model(config.model, seed=1), input_size_px=64, source="test")
    rows = {}
    for decoder in ("exact", "fast"):
        images = read_images(
            store, names, options=ReadOptions(preprocessing=Preprocessing(64), decoder=decoder, thumbnails=False)
        )
        pixels = np.stack([image.encoder_pixels for image in images])
        embeddings = np.concatenate(list(embed_pixels(encoder, [pixels], device=torch.device("cpu"))))
        rows[decoder] = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    cosines = (rows["exact"] * rows["fast"]).sum(axis=1)
    assert cosines.min() >= 0.9999
    assert (rows["exact"] != rows["fast"]).any(), "fast must not be exact under another name"
    assert (rows["exact"] @ rows["exact"].T).min() < 0.95, "the encoder tells the photographs apart"
