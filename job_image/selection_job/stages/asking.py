"""Asking: with which towers a run's queries and prompts are embedded, and whether these fit to its embeddings."""

from dataclasses import replace

from selection_job.embeddings.encoder_record import EncoderRecord
from selection_job.encoder.encoder import Encoder
from selection_job.encoder.text_tower import TextTower
from selection_job.errors import UnusableData
from selection_job.run.context import RunContext
from selection_job.stages.encoder import load_encoder_for_run, load_text_tower_for_run
from selection_job.stages.queries import AskedVectors, embed_queries, needs_encoder, needs_text_tower
from selection_job.stages.zero_shot import check_names, check_uploads


def ask(context: RunContext, encoder: Encoder) -> AskedVectors:
    """Embed the queries and prompts of a run whose images this encoder embeds.

    Raises UnusableData and InvalidManifest for what is wrong with them, before any image of the input is embedded.
    """
    check_names(context)
    tower = load_text_tower_for_run(context, encoder.fingerprint) if needs_text_tower(context) else None
    if tower is not None and tower.dimensions != encoder.dimensions:
        raise UnusableData(
            f"spec.workerConfig.encoder: {context.worker.encoder} makes {encoder.dimensions} numbers of an image and "
            f"{tower.dimensions} of a text: its two towers do not belong together."
        )
    asked = embed_queries(context, encoder if needs_encoder(context) else None, tower)
    check_uploads(context, asked)
    return asked


def ask_beside_table(context: RunContext, record: EncoderRecord | None, dimensions: int, table: str) -> AskedVectors:
    """Embed the queries and prompts of a run whose images' embeddings are given.

    record      which encoder made the table, where that is known
    dimensions  of its vectors
    table       what people know it by
    Raises UnusableData where workerConfig.encoder is not the one that made the table, and as ask does.
    """
    check_names(context)
    encoder = load_encoder_for_run(context) if needs_encoder(context) else None
    known = "" if encoder is None else encoder.fingerprint
    tower = load_text_tower_for_run(context, known) if needs_text_tower(context) else None
    towers = [one for one in (encoder, tower) if one is not None]
    notes = [_compare(context.worker.encoder, one, record, dimensions, table) for one in towers]
    asked = embed_queries(context, encoder, tower)
    check_uploads(context, asked)
    return replace(asked, notes=(*dict.fromkeys(note for note in notes if note), *asked.notes))


def _compare(
    asked_by: str, tower: TextTower | Encoder, record: EncoderRecord | None, dimensions: int, table: str
) -> str | None:
    """Return a note where it can't be checked whether an encoder is the one that made a table's vectors.

    asked_by    spec.workerConfig.encoder's value
    record      which encoder made the table, where that is known
    dimensions  of its vectors
    table       what people know it by
    Raises UnusableData where it is another one.
    """
    own = tower.fingerprint if isinstance(tower, Encoder) else tower.image_fingerprint
    if record is not None and record.fingerprint != own:
        raise UnusableData(
            f"spec.workerConfig.encoder: {asked_by} ({own[:16]}) is not the encoder of {table}, which was made by "
            f"{record.source} ({record.fingerprint[:16]}): queries and images are embedded by the same one, with the "
            "same encoder_config. Name that one, or embed the images anew."
        )
    if tower.dimensions != dimensions:
        raise UnusableData(
            f"spec.workerConfig.encoder: {asked_by} makes {tower.dimensions} numbers and {table} has {dimensions}: "
            "queries and images are embedded by the same encoder. Name that one, or embed the images anew."
        )
    if record is not None:
        return None
    return (
        f"Nothing beside {table} says which encoder made it, so it could not be checked that it was {asked_by}: only "
        f"the numbers of a vector ({dimensions}) agree. With another encoder the values of queries and zero-shot tasks "
        "mean nothing."
    )
