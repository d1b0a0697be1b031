"""Where the weights of lightly's networks come from when nothing is trained: a named checkpoint, else the zoo."""

import logging
from dataclasses import replace
from pathlib import Path

from selection_api.lightly_config import LightlyConfig
from selection_job.encoder.architecture import SimCLR, build_model
from selection_job.encoder.checkpoints import Checkpoint, apply_checkpoint, read_checkpoint
from selection_job.encoder.encoder import Encoder, make_encoder
from selection_job.encoder.kept_epochs import EPOCHS, LAST
from selection_job.encoder.zoo import Zoo, ZooUnavailable, zoo_key
from selection_job.errors import InvalidManifest

log = logging.getLogger("selection_job")


def load_encoder(config: LightlyConfig, *, checkpoint: Path | None, key: str = "", zoo: Zoo | None = None) -> Encoder:
    """Load a checkpoint file, or without one the zoo's for this network.

    key  how the user knows the checkpoint file: its path in the lightly datasource; the local one when empty

    Raises UnusableData where the checkpoint does not fit, or where neither it nor the zoo can be had;
    StorageUnavailable where the zoo can't be reached for now.
    """
    if checkpoint is not None:
        name = key or str(checkpoint)
        return _load(config, read_checkpoint(checkpoint, name=name), source=f"checkpoint {name}")
    try:
        fetched = (zoo or Zoo()).fetch(config.model)
    except ZooUnavailable as unavailable:
        raise unavailable.explain(
            f"There is no encoder to embed with: no checkpoint is named and {unavailable}. Four ways remain: "
            "workerConfig.encoder: BUILT_IN, without lightlyConfig.model and lightlyConfig.collate.input_size, which "
            "needs no network; workerConfig.checkpoint with the path of a checkpoint in the lightly datasource; the "
            "same with that of an earlier run, .lightly/runs/<run>/lightly_epoch_<N>.ckpt; or "
            "workerConfig.enable_training: true."
        ) from unavailable
    name = zoo_key(config.model)
    return _load(config, read_checkpoint(fetched, name=name), source=f"zoo {name}")


def load_trained(config: LightlyConfig, folder: Path) -> Encoder:
    """Load what a finished training left in its folder: the epoch of the lowest loss, else last.ckpt.

    The encoder's notes are those of the training. Raises UnusableData where the folder holds no checkpoint.
    """
    place = checkpoint_folder(folder, config)
    paths = sorted(place.glob(EPOCHS)) or [place / LAST]
    best = min(
        ((read_checkpoint(path), path) for path in paths), key=lambda item: (item[0].settings.get("loss", 0.0), item[1])
    )
    encoder = _load(config, best[0], source="trained")
    return replace(encoder, checkpoint=best[1], notes=(*map(str, best[0].settings.get("notes", ())), *encoder.notes))


def _load(config: LightlyConfig, checkpoint: Checkpoint, *, source: str) -> Encoder:
    model = build_model(config.model, seed=config.seed)
    apply_checkpoint(checkpoint, model)
    size_px = config.collate.input_size
    notes = (
        *_note_missing_head(checkpoint, f"Checkpoint {checkpoint.name!r}", "embeddings come from the backbone"),
        *_compare_input_size(checkpoint, size_px),
    )
    return make_encoder(model, input_size_px=size_px, source=source, name=config.model.name, notes=notes)


def checkpoint_folder(folder: Path, config: LightlyConfig) -> Path:
    """Return where a training in `folder` keeps its checkpoints. Raises InvalidManifest where that is elsewhere."""
    chosen = (folder / (config.checkpoint_callback.dirpath or "")).resolve()
    if not chosen.is_relative_to(folder.resolve()):
        raise InvalidManifest(
            f"spec.lightlyConfig.checkpoint_callback.dirpath: {config.checkpoint_callback.dirpath!r} leads out of the "
            "run's folder. Give a path relative to it, such as 'checkpoints'."
        )
    return chosen


def load_start(config: LightlyConfig, model: SimCLR, *, checkpoint: Path | None, zoo: Zoo | None) -> tuple[str, ...]:
    """Put the weights that training starts from into the model, and return notes on what could not be had.

    A checkpoint comes first, then with pre_trained the zoo; without either the model stays as it was built.
    Raises UnusableData where the checkpoint does not fit; a zoo that can't be reached is a warning, as in lightly.
    """
    if checkpoint is not None:
        start = read_checkpoint(checkpoint)
        apply_checkpoint(start, model)
        return _note_missing_head(start, "The checkpoint that training started from", "it began with a new one")
    if not config.pre_trained:
        return ()
    try:
        fetched = (zoo or Zoo()).fetch(config.model)
    except ZooUnavailable as unavailable:
        note = f"lightlyConfig.pre_trained is true and {unavailable}: training started from scratch."
        log.warning(note)
        return (note,)
    apply_checkpoint(read_checkpoint(fetched, name=zoo_key(config.model)), model)
    return ()


def _note_missing_head(checkpoint: Checkpoint, what: str, consequence: str) -> tuple[str, ...]:
    if checkpoint.has_head:
        return ()
    note = f"{what} has no projection head; {consequence}."
    log.warning(note)
    return (note,)


def _compare_input_size(checkpoint: Checkpoint, input_size_px: int) -> tuple[str, ...]:
    trained_px = checkpoint.settings.get("input_size")
    if not isinstance(trained_px, int) or trained_px == input_size_px:
        return ()
    note = (
        f"Checkpoint {checkpoint.name!r} was trained with lightlyConfig.collate.input_size {trained_px} and embeds "
        f"with {input_size_px}: the embeddings tell less than they could."
    )
    log.warning(note)
    return (note,)
