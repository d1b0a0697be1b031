"""Training: SimCLR with lightly's network, loss and transforms, repeatable to the bit and resumable at any batch.

A plain loop rather than a Lightning Trainer: it leaves signals to the pipeline, goes on from any batch, writes nothing
but checkpoints, and starts 9 seconds sooner. A test holds its weights against a Trainer's on the same batches.
"""

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import SimCLR, build_model
from selection_job.encoder.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.kept_epochs import KeptEpochs
from selection_job.encoder.learner import Learner
from selection_job.encoder.loading import checkpoint_folder, load_start, load_trained
from selection_job.encoder.precision import repeatable
from selection_job.encoder.session import Session
from selection_job.encoder.views import TrainingBatches, TrainingViews, load_views
from selection_job.encoder.zoo import Zoo
from selection_job.errors import InvalidManifest, UnusableData
from selection_job.process.machine import choose_device, count_cores
from selection_job.process.progress import Progress

log = logging.getLogger("selection_job")

_PREFETCHED_BATCHES = 3  # per worker: torch's prefetch_factor of 2, and the one in the making
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
_STRIDE_PX = 8  # of the network: an input of 8 px ends as one pixel


def train_encoder(  # noqa: PLR0913 (all but two are keyword-only)
    images: ImageSource,
    config: LightlyConfig,
    *,
    folder: Path,
    start_checkpoint: Path | None,
    resume_checkpoint: Path | None,
    on_checkpoint: Callable[[Path], None] | None,
    progress: Progress,
    device: torch.device | None = None,
    zoo: Zoo | None = None,
) -> Encoder:
    """Train on the images and return the encoder of the epoch with the lowest mean loss.

    folder             receives lightly_epoch_N.ckpt (zero-based) and last.ckpt, below checkpoint_callback.dirpath
    start_checkpoint   weights to start from; without it pre_trained asks the zoo
    resume_checkpoint  the last.ckpt of the same training, cut off: goes on after its last batch, with the same result;
                       one of another training is left aside
    on_checkpoint      is given last.ckpt after an epoch once a minute, at least every 5 minutes, and when the training
                       ends or is cut off

    The same images, config and machine give the same bits, whatever num_workers and wherever it was cut off.
    Raises UnusableData (no image, a checkpoint that does not fit), InvalidManifest (diverged, or a config that
    can't be trained with), the storage's errors, and whatever stops the run, after keeping last.ckpt.
    """
    batches = _plan_batches(images, config)
    with repeatable():
        model = build_model(config.model, seed=config.seed)
        identity = _identify(images, config)
        resumed = _read_resumable(resume_checkpoint, identity)
        notes = _note_lonely_batches(batches)
        if resumed is None:
            notes += load_start(config, model, checkpoint=start_checkpoint, zoo=zoo)
        session = Session(
            learner=Learner(model, config, device or choose_device(config.trainer.gpus)),
            kept=KeptEpochs(
                checkpoint_folder(folder, config), config.checkpoint_callback.save_top_k, _settings(config, notes)
            ),
            progress=progress,
            identity=identity,
            steps_per_epoch=batches.steps_per_epoch,
            n_epochs=config.trainer.max_epochs,
            on_checkpoint=on_checkpoint,
        )
        if resumed is not None:
            session.restore(resumed)
        if config.trainer.enable_model_summary:
            log.info(summarize_model(model))
        _run(session, images, config)
    _keep_what_was_asked_for(session, config)
    return load_trained(config, folder)


def _run(session: Session, images: ImageSource, config: LightlyConfig) -> None:
    batches = TrainingBatches(len(images), config, start=session.learner.steps_done)
    if batches.n_steps == 0:
        return
    views = load_views(
        TrainingViews(images, config),
        batches,
        num_workers=count_workers(config, batches.batch_size),
        pin=session.learner.device.type == "cuda",
    )
    with closing(views):  # ends the workers, whatever happens
        session.run(views)


def _keep_what_was_asked_for(session: Session, config: LightlyConfig) -> None:
    """Leave the checkpoints that checkpoint_callback names; without a single step the first weights are one."""
    if session.learner.steps_done == 0:
        weights = session.learner.model.state_dict()
        write_checkpoint(session.kept.path(0), weights, settings={**session.kept.settings, "loss": 0.0})
    elif not config.checkpoint_callback.save_last:
        session.last.unlink(missing_ok=True)
    elif not session.last.exists():  # resumed after its last batch
        session.save()


def _plan_batches(images: ImageSource, config: LightlyConfig) -> TrainingBatches:
    if len(images) == 0:
        raise UnusableData("There is no image to train on.")
    batches = TrainingBatches(len(images), config)
    size_px = config.collate.input_size
    if batches.smallest_batch == 1 and size_px <= _STRIDE_PX:
        raise InvalidManifest(
            f"spec.lightlyConfig.collate.input_size: {size_px} leaves one pixel of an image, and {len(images)} images "
            f"in batches of {batches.batch_size} leave one image in a batch: batch norm can't be trained on a single "
            f"value. Set it above {_STRIDE_PX}, or change loader.batch_size or loader.drop_last."
        )
    callback = config.checkpoint_callback
    if callback.save_top_k == 0 and not callback.save_last:
        raise InvalidManifest(
            "spec.lightlyConfig.checkpoint_callback: save_top_k 0 and save_last false keep no checkpoint to embed "
            "with. Set save_top_k to 1 or save_last to true."
        )
    return batches


def _note_lonely_batches(batches: TrainingBatches) -> tuple[str, ...]:
    if batches.batch_size > 1 or batches.config.criterion.memory_bank_size:
        return ()
    note = "Training had one image in a batch and nothing to contrast it with: the weights hardly changed."
    log.warning(note)
    return (note,)


def _settings(config: LightlyConfig, notes: tuple[str, ...]) -> dict[str, Any]:
    """Return what a loader of the checkpoint wants to know besides the weights."""
    model = config.model
    return {
        "format": 1,
        "input_size": config.collate.input_size,
        "model": {"name": model.name, "width": model.width, "num_ftrs": model.num_ftrs, "out_dim": model.out_dim},
        "notes": list(notes),
    }


def _identify(images: ImageSource, config: LightlyConfig) -> str:
    """Return a digest of all that a training's result depends on."""
    without_effect = {"loader": {"num_workers"}, "trainer": {"enable_model_summary"}}
    settings = config.model_dump(mode="json", exclude=without_effect)
    text = json.dumps([settings, images.decoder, images.allow_truncated, images.names], sort_keys=True)
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read_resumable(path: Path | None, identity: str) -> Checkpoint | None:
    if path is None:
        return None
    try:
        checkpoint = read_checkpoint(path)
    except UnusableData as error:
        log.warning("Training starts anew: %s", error)
        return None
    training = checkpoint.settings.get("training")
    if isinstance(training, dict) and training.get("identity") == identity:
        return checkpoint
    log.warning("Training starts anew: %s belongs to another training.", path)
    return None


def count_workers(config: LightlyConfig, batch_size: int, *, shared_memory: Path = _SHARED_MEMORY) -> int:
    """Return how many processes read and augment: loader.num_workers (-1: one a core) as far as shared memory goes.

    A pod has 64 MB of it unless told otherwise, and a worker that finds it full dies of a bus error.
    """
    wanted = config.loader.num_workers if config.loader.num_workers >= 0 else count_cores()
    batch_bytes = batch_size * 2 * 3 * config.collate.input_size**2 * 4
    try:
        fitting = shutil.disk_usage(shared_memory).free // (_PREFETCHED_BATCHES * batch_bytes)
    except OSError:  # not Linux: no such limit
        return wanted
    if fitting < wanted:
        log.warning("Shared memory holds the batches of %d workers, not %d: training uses fewer.", fitting, wanted)
    return min(wanted, fitting)


def summarize_model(model: SimCLR) -> str:
    """Return a table of the network's parts with their kinds and numbers of parameters."""
    parts = [*(("backbone." + name, part) for name, part in model.backbone.named_children())]
    parts.append(("projection_head", model.projection_head))
    rows = [(name, type(part).__name__, sum(weight.numel() for weight in part.parameters())) for name, part in parts]
    rows.append(("total", type(model).__name__, sum(count for _, _, count in rows)))
    return "Network:\n" + "\n".join(f"  {name:<16} {kind:<24} {count:>12,}" for name, kind, count in rows)
