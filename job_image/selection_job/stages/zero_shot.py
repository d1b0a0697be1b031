"""The zero-shot tasks of a run: from the embeddings of images and prompts to predictions, and their upload."""

from hashlib import sha256
from pathlib import Path

import numpy as np

from selection_job.catalog.embedded import Embedded
from selection_job.errors import InvalidManifest
from selection_job.predictions.task_predictions import TaskPredictions, take_images
from selection_job.predictions.task_schema import TASKS_FILE, TaskSchema
from selection_job.predictions.task_upload import check_folder, find_maker, upload_task
from selection_job.predictions.zero_shot import classify_images, note_certainty
from selection_job.run.context import RunContext
from selection_job.run.kept_stages import KeptStage, Noted, make_fingerprint
from selection_job.stages.queries import AskedVectors

_UPLOAD = "zero_shot_upload"
_MAKER = "zero_shot_tasks"


def check_names(context: RunContext) -> None:
    """Raise InvalidManifest where a zero-shot task has the name of a task that somebody else put into tasks.json."""
    for i, task in enumerate(context.worker.zero_shot_tasks):
        maker = find_maker(context.target, task.name)
        if maker is not None and not maker.startswith(f"{_MAKER} "):
            raise InvalidManifest(
                f"spec.workerConfig.zero_shot_tasks[{i}].name: {task.name} is the name of an entry of tasks.json "
                f"({context.target.url}{TASKS_FILE}); give the zero-shot task another."
            )


def check_uploads(context: RunContext, asked: AskedVectors) -> None:
    """Raise UnusableData where an upload would mix with predictions of something else; nothing is written."""
    if context.worker.zero_shot_upload:
        for schema, _ in asked.tasks:
            check_folder(context.target, schema, option=_UPLOAD)


def classify(context: RunContext, asked: AskedVectors, embedded: Embedded) -> Noted[dict[str, TaskPredictions]]:
    """Return the zero-shot tasks over the catalog's images, the datapool's included; upload them where that is asked.

    Notes say where a task does not tell its categories apart.
    """
    tasks: dict[str, TaskPredictions] = {}
    notes: list[str] = []
    for number, (schema, classes) in enumerate(asked.tasks):
        task = classify_images(schema, embedded.embeddings, classes, scale=asked.scale)
        tasks[schema.task] = task
        notes += note_certainty(task, embedded.catalog.n_new)
        if context.worker.zero_shot_upload:
            notes += _upload(context, schema, task, embedded, number)
    return Noted(tasks, tuple(notes))


def _upload(
    context: RunContext, schema: TaskSchema, task: TaskPredictions, embedded: Embedded, number: int
) -> tuple[str, ...]:
    """Write the new images' predictions and return notes on what could not be written."""
    n = embedded.catalog.n_new
    names, of_new = embedded.catalog.names[:n], take_images(task, np.arange(n))

    def upload(_: Path) -> list[str]:
        return upload_task(context.target, schema, of_new, names, option=_UPLOAD, progress=context.progress)

    # Kept for its notes alone: a retried run does not write the files again.
    assert of_new.probabilities is not None
    digest = sha256(np.ascontiguousarray(of_new.probabilities).tobytes()).hexdigest()
    fingerprint = make_fingerprint(task=schema.task, made_by=schema.made_by, names=names, probabilities=digest)
    stage = KeptStage(f"zero-shot-upload-{number}", fingerprint, upload, lambda _: None)
    return context.stages.reuse_or_make(stage).notes
