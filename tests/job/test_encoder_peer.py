"""Side by side with lightly 1.6: checkpoints go both ways, embeddings agree, and a training step is lightly's."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.utils.io import load_embeddings
from torch.utils.data import DataLoader

from selection_job.encoder.architecture import build_model
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.learner import Learner
from selection_job.encoder.loading import load_encoder
from selection_job.encoder.training import train_encoder
from selection_job.encoder.views import TrainingBatches, TrainingViews, load_views
from selection_job.process.progress import Progress
from selection_job.reading.images import ReadOptions, read_images
from selection_job.stores.local.store import LocalStore

pytestmark = pytest.mark.slow

MODEL = ["model.name=resnet-9", "model.width=0.125", "model.num_ftrs=8", "model.out_dim=16", "collate.input_size=16"]


def run_peer(command, cwd, *arguments):
    """Run a command of lightly's in cwd, and return its output."""
    program = Path(sys.executable).with_name(command)
    done = subprocess.run(
        [program, *MODEL, "loader.num_workers=0", "hydra.run.dir=.", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of photographs' crops in several formats and modes, some of them in a folder with a Japanese name."""
    from PIL import Image
    from skimage import data

    folder = tmp_path_factory.mktemp("pictures")
    (folder / "写真").mkdir()  # lightly looks into folders only, where there is one
    (folder / "more").mkdir()
    astronaut = Image.fromarray(data.astronaut())
    for i in range(12):
        crop = astronaut.crop((30 * i, 20 * i, 30 * i + 90 + i, 20 * i + 120 - i))
        crop.save(folder / ("写真" if i < 3 else "more") / f"{i:02}.{'png' if i % 2 else 'jpg'}")
    astronaut.convert("L").resize((50, 70)).save(folder / "more" / "grey.png")
    astronaut.convert("CMYK").resize((70, 50)).save(folder / "more" / "cmyk.jpg")
    astronaut.quantize(16).resize((40, 40)).save(folder / "more" / "palette.png")
    astronaut.resize((60, 60)).convert("RGBA").save(folder / "more" / "alpha.png")
    return folder


def embed_ours(folder, names, encoder):
    options = ReadOptions(preprocessing=encoder.preprocessing)
    pixels = np.stack([image.encoder_pixels for image in read_images(LocalStore(folder), names, options=options)])
    return np.concatenate(list(embed_pixels(encoder, [pixels], device=torch.device("cpu"))))


def embed_theirs(folder, checkpoint, cwd):
    cwd.mkdir()
    run_peer("lightly-embed", cwd, f"input_dir={folder}", f"checkpoint={checkpoint}")
    embeddings, _, names = load_embeddings(str(cwd / "embeddings.csv"))
    return names, embeddings


def test_lightly_embed_reads_our_checkpoint_and_finds_our_embeddings(pictures, tiny_config, tmp_path):
    config = tiny_config()
    names = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.*g"))
    encoder = train_encoder(
        ImageSource(LocalStore(pictures), names),
        config,
        folder=tmp_path / "training",
        start_checkpoint=None,
        resume_checkpoint=None,
        on_checkpoint=None,
        progress=Progress(quiet=True),
    )
    their_names, theirs = embed_theirs(pictures, encoder.checkpoint, tmp_path / "theirs")
    assert sorted(their_names) == names
    np.testing.assert_allclose(embed_ours(pictures, their_names, encoder), theirs, atol=1e-4)


def test_we_read_a_checkpoint_of_lightly_ssl_train_and_find_its_embeddings(pictures, tiny_config, tmp_path):
    trained = tmp_path / "trained"
    trained.mkdir()
    training = ["pre_trained=False", "trainer.max_epochs=1", "loader.batch_size=8", "optimizer.lr=0.1"]
    run_peer("lightly-ssl-train", trained, f"input_dir={pictures}", *training)
    checkpoint = trained / "lightly_epoch_0.ckpt"
    encoder = load_encoder(tiny_config(), checkpoint=checkpoint)
    names, theirs = embed_theirs(pictures, checkpoint, tmp_path / "theirs")
    assert len(names) == 16
    np.testing.assert_allclose(embed_ours(pictures, names, encoder), theirs, atol=1e-4)


def test_the_initial_weights_are_those_of_lightlys_command_line(monkeypatch):
    from lightly.cli import _helpers

    from selection_api.lightly_config import LightlyConfig

    monkeypatch.setattr(_helpers, "load_state_dict_from_url", lambda *args, **options: {"state_dict": None})
    config = LightlyConfig()
    torch.manual_seed(7)
    peer = _helpers.get_model_from_config({"checkpoint": "", "model": config.model.model_dump()})
    expected = peer.model.state_dict()
    ours = build_model(config.model, seed=7).state_dict()
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[key], expected[key]) for key in ours)


def test_an_epoch_ends_in_the_weights_of_a_lightning_trainer_on_the_same_batches(make_images, tiny_config):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own advice and deprecations
        from lightly.embedding import SelfSupervisedEmbedding
        from pytorch_lightning import Trainer

        config = tiny_config(loader={"batch_size": 5}, trainer={"max_epochs": 3})
        batches = list(
            load_views(TrainingViews(make_images(), config), TrainingBatches(10, config), num_workers=0, pin=False)
        )
        peer = _PairModel(build_model(config.model, seed=config.seed))
        optimizer = torch.optim.SGD(
            peer.parameters(), lr=config.optimizer.lr, weight_decay=config.optimizer.weight_decay
        )
        loader = DataLoader([((views[0], views[1]), 0, "") for views in batches], batch_size=None)
        module = SelfSupervisedEmbedding(peer, NTXentLoss(temperature=config.criterion.temperature), optimizer, loader)
        Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module)  # fmt: skip
    learner = Learner(build_model(config.model, seed=config.seed), config, torch.device("cpu"))
    for views in batches:
        learner.step(views)
    for ours, theirs in zip(learner.model.state_dict().values(), peer.model.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


class _PairModel(torch.nn.Module):
    """Our network behind the call that lightly's embedding module makes."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x0, x1):
        return self.model(x0), self.model(x1)
