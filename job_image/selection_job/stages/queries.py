"""What queries and prompts look for, as vectors: sentences by the encoder's text tower, images by the encoder itself.

They are embedded before the images of the input, so that what is wrong with them is told in the first minute.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from selection_job.catalog.image_names import IMAGE_EXTENSIONS, escape_name, is_hidden, quote_some
from selection_job.encoder.embedding import embed_pixels
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.text_tower import TextTower
from selection_job.errors import UnusableData
from selection_job.manifest.noun import IMAGE
from selection_job.manifest.query import Query, make_query
from selection_job.numeric.sentences import Fit, average_prompts, measure_fit
from selection_job.predictions.task_schema import TaskSchema
from selection_job.predictions.zero_shot import list_prompts, make_zero_shot_schema
from selection_job.reading.images import make_read_options, read_images
from selection_job.run.context import RunContext
from selection_job.stages.embedding import cut_batches
from selection_job.stores.store import ObjectInfo

MOST_IMAGES = 1000
"""Of a query."""

_TASKS = "spec.workerConfig.zero_shot_tasks"

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AskedVectors:
    """What the queries and prompts of a run look for. Vectors of sentences have unit length."""

    texts: Mapping[Query, tuple[Vectors, Vectors]] = field(default_factory=dict)
    """By query: (q, d) its texts, (r, d) its other_texts."""
    folders: Mapping[str, Vectors] = field(default_factory=dict)
    """By folder: (q, d) its images, as the encoder makes them."""
    tasks: tuple[tuple[TaskSchema, Vectors], ...] = ()
    """Zero-shot tasks, and (c, d) what their categories mean."""
    scale: float = 1.0
    """What cosines are multiplied with before a softmax over sentences."""
    notes: tuple[str, ...] = ()


def asks_anything(context: RunContext) -> bool:
    """Say whether the run has queries or zero-shot tasks."""
    return bool(context.needs.queries or context.worker.zero_shot_tasks)


def needs_encoder(context: RunContext) -> bool:
    """Say whether the run has images of queries to embed."""
    return bool(context.needs.query_folders)


def needs_text_tower(context: RunContext) -> bool:
    """Say whether the run has sentences to embed."""
    return bool(context.worker.zero_shot_tasks or any(query.texts for query in context.needs.queries))


def embed_queries(context: RunContext, encoder: Encoder | None, tower: TextTower | None) -> AskedVectors:
    """Embed what the run's queries and prompts look for.

    encoder  None where no images of queries are there; tower  None where no sentences are there
    Raises UnusableData for a sentence that is longer than the tower reads, and for a folder without a usable image.
    """
    texts: dict[Query, tuple[Vectors, Vectors]] = {}
    tasks: list[tuple[TaskSchema, Vectors]] = []
    folders: dict[str, Vectors] = {}
    notes: list[str] = []
    if tower is not None:
        texts = {query: _embed_sentences(context, query, tower) for query in context.needs.queries if query.texts}
        tasks = list(_embed_tasks(context, tower))
    if encoder is not None:
        for folder in context.needs.query_folders:
            folders[folder] = _embed_folder(context, folder, encoder, notes.append)
    return AskedVectors(texts, folders, tuple(tasks), 1.0 if tower is None else tower.scale, tuple(notes))


def _find_path(context: RunContext, query: Query) -> str:
    """Return where the first input that asks for this stands in the manifest."""
    entries = (entry for entry in context.goal.strategies if entry.input.type == "QUERIES")
    return next(f"{entry.path}.input" for entry in entries if make_query(entry.input) == query)


def _embed_sentences(context: RunContext, query: Query, tower: TextTower) -> tuple[Vectors, Vectors]:
    path = _find_path(context, query)
    found = _embed_texts(tower, query.texts, f"{path}.texts")
    others = _embed_texts(tower, query.other_texts, f"{path}.other_texts") if query.other_texts else found[:0]
    return found, others


def _embed_texts(tower: TextTower, texts: Sequence[str], path: str) -> Vectors:
    try:
        return tower.embed(texts)
    except UnusableData as error:
        raise UnusableData(f"{path}: {error}") from error


def _embed_tasks(context: RunContext, tower: TextTower) -> Iterator[tuple[TaskSchema, Vectors]]:
    tasks = context.worker.zero_shot_tasks
    n = sum(len(task.categories) for task in tasks)
    with context.progress.bar("Embedding prompts", n, "categories") as bar:
        for i, task in enumerate(tasks):
            classes = np.empty((len(task.categories), tower.dimensions), dtype=np.float32)
            for j, category in enumerate(task.categories):
                path = f"{_TASKS}[{i}].categories[{j}]"
                classes[j] = average_prompts(_embed_texts(tower, list_prompts(task, category), path))
                bar.advance()
            yield make_zero_shot_schema(task, f"{tower.fingerprint} {tower.image_fingerprint}"), classes


def list_query_images(context: RunContext, folder: str) -> list[ObjectInfo]:
    """Return the images of a query's folder, sorted by name. Raises UnusableData for none, or more than MOST_IMAGES."""
    found = [info for info in context.target.list(folder) if _is_image(info.key.removeprefix(folder))]
    where = (
        f"{_find_path(context, Query(folder=folder))}.images names {folder!r}, and {context.target.url}{folder} holds"
    )
    if not found:
        raise UnusableData(
            f"{where} no image. Put those that show what is looked for there; known endings are "
            f"{' '.join(IMAGE_EXTENSIONS)}."
        )
    if len(found) > MOST_IMAGES:
        raise UnusableData(f"{where} {len(found):,} images; a query takes {MOST_IMAGES:,}. Keep the most telling ones.")
    return sorted(found, key=lambda info: info.key)


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_EXTENSIONS) and not is_hidden(name)


def _embed_folder(context: RunContext, folder: str, encoder: Encoder, note: Callable[[str], None]) -> Vectors:
    """Return (q, d) embeddings of the readable images of a folder, read and embedded as the input's are."""
    listed = list_query_images(context, folder)
    options = replace(make_read_options(context.worker, encoder.preprocessing), thumbnails=False)
    unusable: dict[str, str] = {}

    def read() -> Iterator[NDArray[np.uint8]]:
        names, sizes = [info.key for info in listed], np.array([info.size_bytes for info in listed])
        for image in read_images(context.target, names, options=options, sizes_bytes=sizes):
            if image.encoder_pixels is None:
                unusable[image.name] = image.reason or "unreadable"
            else:
                yield image.encoder_pixels

    config = context.spec.lightly_config
    batches = cut_batches(read(), config.loader.batch_size)
    parts = list(embed_pixels(encoder, batches, device=context.device, precision=config.trainer.precision))
    names = quote_some([name.removeprefix(folder) for name in unusable])
    if not parts:
        path = f"{_find_path(context, Query(folder=folder))}.images"
        reason = next(iter(unusable.values()))
        raise UnusableData(
            f"{path}: no image of {context.target.url}{folder} can be read: {names} ({escape_name(reason)})."
        )
    if unusable:
        can = "can't be used and is" if len(unusable) == 1 else "can't be used and are"
        note(f"{IMAGE.count(len(unusable))} of the query {folder} {can} left out: {names}")
    return np.concatenate(parts)


def measure_fits(asked: AskedVectors, embeddings: Vectors) -> dict[Query, Fit]:
    """Return how well each image fits to each query.

    embeddings  (n, d) of any length
    """
    fits = {
        query: measure_fit(embeddings, texts, others, scale=asked.scale)
        for query, (texts, others) in asked.texts.items()
    }
    return fits | {Query(folder=folder): measure_fit(embeddings, vectors) for folder, vectors in asked.folders.items()}
