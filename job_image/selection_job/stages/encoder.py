"""The encoder of a run: trained here, built in, loaded from a checkpoint, or from the model zoo."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from selection_api import Stage
from selection_api.encoder_rules import is_built_in
from selection_job.catalog.catalog import Listing
from selection_job.encoder.built_in import INPUT_SIZE_PX, load_built_in
from selection_job.encoder.encoder import EmbeddingSource, Encoder
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.loading import load_encoder, load_trained
from selection_job.encoder.text_tower import TextTower
from selection_job.encoder.training import train_encoder
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import KeptStage, Noted, make_fingerprint
from selection_job.stages.embedding import check_images
from selection_job.stages.training_frames import take_training_frames
from selection_job.stages.videos import make_sampling
from selection_job.stores.fetching import fetch_file

_STAGE = "training"


def load_encoder_for_run(context: RunContext) -> Encoder:
    """Return the encoder of a run that trains nothing: built in, from a folder, from a checkpoint, or the zoo's.

    Raises UnusableData where none can be had.
    """
    config = context.worker.encoder_config
    if is_built_in(context.spec):
        return load_built_in(
            input_size_px=config.input_size if config.input_size > 0 else INPUT_SIZE_PX,
            resize="SQUASH" if config.resize == "FOLDER" else config.resize,
        )
    if context.worker.encoder:
        from selection_job.encoder.folders.loading import load_encoder_folder  # takes a second: timm and open_clip

        return load_encoder_folder(
            context.target,
            context.worker.encoder,
            context.scratch,
            input_size_px=config.input_size,
            resize=None if config.resize == "FOLDER" else config.resize,
        )
    return load_encoder(context.spec.lightly_config, checkpoint=_fetch_start(context), key=context.spec.checkpoint)


def load_text_tower_for_run(context: RunContext, image_fingerprint: str = "") -> TextTower:
    """Return the text tower of the encoder's folder that the manifest names.

    image_fingerprint  of the encoder from there; '' where that was not loaded
    Raises UnusableData where the folder has no text tower.
    """
    from selection_job.encoder.folders.loading import load_text_tower  # takes a second: timm and open_clip

    config = context.worker.encoder_config
    return load_text_tower(
        context.target,
        context.worker.encoder,
        context.scratch,
        input_size_px=config.input_size,
        resize=None if config.resize == "FOLDER" else config.resize,
        image_fingerprint=image_fingerprint,
    )


def train_on_images(context: RunContext, listing: Listing) -> Noted[Encoder]:
    """Find the readable images, and train on them; what an earlier try of this run has done is reused."""
    with context.progress.stage(Stage.CHECKING_CORRUPTNESS):
        checked = check_images(context, listing)
    images = ImageSource(
        context.source,
        checked.names,
        decoder=context.worker.decoder,
        allow_truncated=not context.worker.enable_corruptness_check,
    )
    with context.progress.stage(Stage.TRAINING):
        return _train(context, lambda: Noted(images), listing=listing.fingerprint, corrupt=sorted(checked.corrupt))


def train_on_frames(context: RunContext, listing: Listing) -> Noted[Encoder]:
    """Train on frames of the videos, at most MOST_TRAINING_FRAMES of those that the run looks at."""
    with context.progress.stage(Stage.TRAINING):
        return _train(
            context,
            lambda: take_training_frames(context, listing),
            listing=listing.fingerprint,
            sampling=repr(make_sampling(context)),
        )


def _train(context: RunContext, take_images: Callable[[], Noted[ImageSource]], **more: object) -> Noted[Encoder]:
    """Train, or return what an earlier try of this run trained.

    last.ckpt is kept while training goes on, and a retried run goes on from it.
    take_images  called only where something is left to train
    more         what decides over the images
    """
    config = context.spec.lightly_config
    start = _fetch_start(context)
    fingerprint = make_fingerprint(
        config=config.model_dump(mode="json"),
        decoder=context.worker.decoder,
        check=context.worker.enable_corruptness_check,
        start=sha256(start.read_bytes()).hexdigest() if start else None,
        **more,
    )

    def train(folder: Path) -> tuple[str, ...]:
        images = take_images()
        train_encoder(
            images.value,
            config,
            folder=folder,
            start_checkpoint=start,
            resume_checkpoint=context.stages.fetch_file(_STAGE, fingerprint, "last.ckpt"),
            on_checkpoint=lambda path: context.stages.keep_file(_STAGE, fingerprint, path),
            progress=context.progress,
            device=context.device,
        )
        return images.notes

    # Loaded from its files in any case, so that a resumed run and one in a single go embed with the same bits.
    stage = KeptStage(_STAGE, fingerprint, train, lambda folder: load_trained(config, folder))
    return context.stages.reuse_or_make(stage)


def trained_files(encoder: EmbeddingSource) -> dict[str, Path]:
    """Return the files that training left, by their path in the run's folder; none where nothing was trained."""
    if encoder.checkpoint is None:
        return {}
    folder = next(parent for parent in encoder.checkpoint.parents if parent.name.startswith(f"{_STAGE}-"))
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.ckpt"))}


def _fetch_start(context: RunContext) -> Path | None:
    if not context.spec.checkpoint:
        return None
    return fetch_file(
        context.target,
        context.spec.checkpoint,
        context.scratch / "start.ckpt",
        field="spec.workerConfig.checkpoint",
        advice="Give the path of a checkpoint relative to the lightly datasource, for example "
        ".lightly/runs/<run>/lightly_epoch_99.ckpt.",
    )
