"""The encoder of a run: trained here, loaded from a checkpoint in the lightly datasource, or from the model zoo."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from selection_api import Stage
from selection_job.catalog.catalog import Listing
from selection_job.embedding_stage import check_images
from selection_job.encoder.encoder import Encoder, Origin
from selection_job.encoder.image_source import ImageSource
from selection_job.encoder.loading import load_encoder, load_trained
from selection_job.encoder.training import train_encoder
from selection_job.stages import make_fingerprint
from selection_job.training_frames import take_training_frames
from selection_job.video_stage import make_sampling
from selection_job.workplace import Workplace

_STAGE = "training"


def load_stage(place: Workplace) -> Encoder:
    """Return the encoder of the checkpoint that the manifest names, or the zoo's.

    Raises UnusableData where neither can be had.
    """
    return load_encoder(place.spec.lightly_config, checkpoint=_fetch_checkpoint(place), key=place.spec.checkpoint)


def train_on_images(place: Workplace, listing: Listing) -> Encoder:
    """Find the readable images, and train on them; what an earlier try of this run has done is reused."""
    with place.progress.stage(Stage.CHECKING_CORRUPTNESS):
        checked = check_images(place, listing)
    images = ImageSource(
        place.source,
        checked.names,
        decoder=place.worker.decoder,
        allow_truncated=not place.worker.enable_corruptness_check,
    )
    with place.progress.stage(Stage.TRAINING):
        return _train(place, lambda: images, listing=listing.fingerprint, corrupt=sorted(checked.corrupt))


def train_on_frames(place: Workplace, listing: Listing) -> Encoder:
    """Train on frames of the videos, at most MOST_TRAINING_FRAMES of those that the run looks at."""
    with place.progress.stage(Stage.TRAINING):
        return _train(
            place,
            lambda: take_training_frames(place, listing),
            listing=listing.fingerprint,
            sampling=repr(make_sampling(place)),
        )


def _train(place: Workplace, take_images: Callable[[], ImageSource], **more: object) -> Encoder:
    """Train, or return what an earlier try of this run trained.

    last.ckpt is kept while training goes on, and a retried run goes on from it.
    take_images  called only where something is left to train
    more         what decides over the images
    """
    config = place.spec.lightly_config
    start = _fetch_checkpoint(place)
    fingerprint = make_fingerprint(
        config=config.model_dump(mode="json"),
        decoder=place.worker.decoder,
        check=place.worker.enable_corruptness_check,
        start=sha256(start.read_bytes()).hexdigest() if start else None,
        **more,
    )

    def train(folder: Path) -> None:
        train_encoder(
            take_images(),
            config,
            folder=folder,
            start_checkpoint=start,
            resume_checkpoint=place.stages.fetch_file(_STAGE, fingerprint, "last.ckpt"),
            on_checkpoint=lambda path: place.stages.keep_file(_STAGE, fingerprint, path),
            progress=place.progress,
            device=place.device,
        )

    # Loaded from its files in any case, so that a resumed run and one in a single go embed with the same bits.
    return place.stages.reuse_or_make(_STAGE, fingerprint, train, lambda folder: load_trained(config, folder))


def trained_files(encoder: Origin) -> dict[str, Path]:
    """Return the files that training left, by their path in the run's folder; none where nothing was trained."""
    if encoder.checkpoint is None:
        return {}
    folder = next(parent for parent in encoder.checkpoint.parents if parent.name.startswith(f"{_STAGE}-"))
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.ckpt"))}


def _fetch_checkpoint(place: Workplace) -> Path | None:
    key = place.spec.checkpoint
    if not key:
        return None
    return place.fetch(
        key,
        "start.ckpt",
        field="spec.workerConfig.checkpoint",
        advice="Give the path of a checkpoint relative to the lightly datasource, for example "
        ".lightly/runs/<run>/lightly_epoch_99.ckpt.",
    )
