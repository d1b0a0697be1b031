"""Publish: write everything a run found into its folder, report.json last."""

import json
import logging
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from selection_api import RunSummary, Stage
from selection_api.legacy_selection import PRETAGGING_TASK
from selection_job.catalog.catalog import Listing
from selection_job.embeddings.given_embeddings import find_table_key
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.images.decoding import CorruptImage, decode_rgb
from selection_job.images.thumbnails import make_thumbnail
from selection_job.manifest.data_needs import find_needs
from selection_job.predictions.problems import publish_problems
from selection_job.publishing.exports import write_exports
from selection_job.publishing.run_results import RunResults, describe_run, gather_facts, summarize
from selection_job.report.report_json import SourceFindings, report_json_bytes
from selection_job.report.writing import write_report
from selection_job.results.pictures.crop_images import write_crop_images
from selection_job.results.pictures.frame_images import FrameThumbnails, write_frame_images
from selection_job.results.pictures.image_copies import dump_images, write_thumbnails
from selection_job.results.pictures.pretagging_examples import write_examples
from selection_job.results.tables.bounding_boxes import write_bounding_boxes
from selection_job.results.tables.crops_table import write_crops_table
from selection_job.results.tables.metadata_table import write_metadata_table
from selection_job.results.tables.name_lists import write_corruptness_check, write_name_lists
from selection_job.results.tables.score_table import write_score_table
from selection_job.results.tables.sequence_information import write_sequence_information
from selection_job.results.tables.settings_files import write_settings
from selection_job.results.tables.tables import write_clean, write_tables
from selection_job.results.tables.video_tables import write_video_tables
from selection_job.run.context import RunContext
from selection_job.selection.video_counts import number_videos
from selection_job.stages.datapool import add_to_datapool
from selection_job.stages.encoder import trained_files
from selection_job.stages.sources import list_source_versions
from selection_job.stores.store import delete_keys

log = logging.getLogger("selection_job")


def find_finished(context: RunContext, listing: Listing) -> RunSummary | None:
    """Return the summary of this very run where it is already finished over the same images, else None.

    With use_datapool, whatever images there are: what the run selected is in the datapool, and new images are for the
    dataset's next run.
    """
    try:
        report = json.loads(context.target.read(f"{context.run_key}report.json"))
        has_changed = report["inputFingerprint"] != _fingerprint_input(context, listing)
        if has_changed and not context.worker.use_datapool:
            log.info("The input, checkpoint, embeddings, predictions or metadata have changed: the run runs again.")
            return None
        if has_changed:
            log.warning("This run is finished and in the datapool: choose among new images by a run of another name.")
        summary = RunSummary.from_bytes(json.dumps(report["summary"]).encode())
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None
    context.stages.forget()  # a run that was killed after its last write has left them
    return summary


def _fingerprint_input(context: RunContext, listing: Listing) -> str:
    """Return 64 hex digits for all that the run reads: images as listed, checkpoint, embeddings, sources."""
    given = context.worker.embeddings
    key = find_table_key(given) if given else context.spec.checkpoint
    versions = [info.version for info in context.target.list(key) if info.key == key] if key else []
    content: list[object] = [listing.fingerprint, versions]
    if sources := list_source_versions(context):
        content.append(sources)
    return sha256(json.dumps(content).encode()).hexdigest()


def write_results(context: RunContext, findings: RunResults) -> RunSummary:
    """Write the whole output tree and return the run's summary."""
    folder = context.scratch / "results"
    context.lock.check()
    _clear_outdated(context)
    with context.progress.stage(Stage.SAVING_RESULTS):
        _write_data(folder, context, findings)
    with context.progress.stage(Stage.GENERATING_REPORT):
        report = _write_report(folder, context, findings)
    with context.progress.stage(Stage.UPLOADING_ARTIFACTS):
        summary = summarize(context, findings)
        report |= {
            "inputFingerprint": _fingerprint_input(context, findings.listing),
            "summary": summary.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        context.lock.check()
        publish(folder, context, report_json_bytes(report), lambda: _add_to_datapool(context, findings))
        context.stages.forget()
    return summary


def _clear_outdated(context: RunContext) -> None:
    """Delete what an earlier try left behind, report.json first, so that nobody reads a mix of two tries."""
    context.target.delete(f"{context.run_key}report.json")
    keys = [info.key for info in context.target.list(context.run_key)]
    delete_keys(context.target, [key for key in keys if not key.startswith(f"{context.run_key}.stages/")])


def _write_data(folder: Path, context: RunContext, findings: RunResults) -> None:
    catalog, selection = findings.catalog, findings.selection
    write_tables(folder / "data", catalog, findings.embeddings, selection)
    write_score_table(
        folder / "data" / "al_score_embeddings.csv",
        catalog.names,
        findings.embeddings,
        selection.candidates,
        spec=context.spec,
        sources=findings.sources,
        labels=number_videos(catalog),
    )
    write_video_tables(folder / "data", catalog, selection)
    if context.worker.enable_corruptness_check and catalog.was_read:
        write_clean(folder / "data" / "clean.csv", catalog)
        write_corruptness_check(folder / "data" / "corruptness_check_information.json", catalog)
    publish_problems(context.scratch, folder / "data")
    columns = [findings.sources.columns[key] for key in find_needs(context.spec).metadata]
    write_metadata_table(folder / "data" / "metadata.csv", catalog.names[: catalog.n_new], selection.selected, columns)
    _write_objects(folder / "data", context, findings)
    if context.worker.pretagging and context.worker.pretagging_debug:
        detected = findings.sources.tasks[PRETAGGING_TASK]
        write_examples(folder / "data" / "bounding_boxes_examples", context.source, catalog, detected)
    write_sequence_information(folder / "data" / "sequence_information.json", catalog, selection)
    write_name_lists(folder / "filenames", catalog, selection)
    write_exports(folder / "exports", context, findings)
    write_settings(folder / "config", context.run, describe_run(context, findings.encoder))
    for name, path in trained_files(findings.encoder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    if context.spec.writes_images:
        context.notes.extend(_dump(context, findings))
    selected_names = (catalog.names[row] for row in selection.selected.tolist())
    thumbnail, datasources = _thumbnail_source(context, findings), context.spec.datasources
    context.notes.extend(
        write_thumbnails(
            context.target, datasources, selected_names, thumbnail, check_cheaply=context.lock.check_cheaply
        )
    )


def _write_objects(folder: Path, context: RunContext, findings: RunResults) -> None:
    """Write what is known of objects on the images: their boxes, and those that were cut out."""
    catalog, objects = findings.catalog, findings.chosen.objects
    write_bounding_boxes(folder / "bounding_boxes.json", catalog, findings.sources.tasks.values())
    write_crops_table(folder / "crops.csv", catalog, findings.embedded.crops, objects)
    if context.spec.writes_images and objects is not None:
        context.notes.extend(write_crop_images(context, catalog, objects))


def _dump(context: RunContext, findings: RunResults) -> list[str]:
    """Write the images, or the selected frames, as files; return notes on what was missing."""
    if findings.catalog.frames is not None:
        return write_frame_images(context, findings.listing, findings.catalog, findings.selection)
    return dump_images(
        context.source,
        context.target,
        context.run_key,
        catalog=findings.catalog,
        selection=findings.selection,
        worker=context.worker,
        progress=context.progress,
        check_cheaply=context.lock.check_cheaply,
    )


def _thumbnail_source(context: RunContext, findings: RunResults) -> Callable[[str], bytes | None]:
    """Return how a thumbnail is found: in the local cache, or read again where it fell out."""
    if findings.catalog.frames is not None:
        return FrameThumbnails(context, findings.listing, findings.catalog).get

    def thumbnail(name: str) -> bytes | None:
        kept = context.thumbnails.get(name)
        if kept is not None:
            return kept
        try:
            made = make_thumbnail(decode_rgb(context.source.read(name)))
        except (ObjectMissing, ObjectRefused, CorruptImage):
            return None
        context.thumbnails.put(name, made)
        return made

    return thumbnail


def _write_report(folder: Path, context: RunContext, findings: RunResults) -> dict[str, Any]:
    return write_report(
        folder,
        facts=gather_facts(context, findings),
        catalog=findings.catalog,
        embeddings=findings.embeddings,
        selection=findings.selection,
        thumbnail=_thumbnail_source(context, findings),
        worker=context.worker,
        sources=SourceFindings(findings.sources, findings.chosen.objects, findings.chosen.sequences),
    )


def _add_to_datapool(context: RunContext, findings: RunResults) -> None:
    add_to_datapool(context, findings.pool, findings.embedded, findings.selection.selected, findings.encoder)


def publish(folder: Path, context: RunContext, report: bytes, before_report: Callable[[], None] = lambda: None) -> None:
    """Upload every file of the folder, then report.json: once that is there, everything is.

    before_report  called between the two
    Raises TryAgain, before the next file, where another process has taken the run's lock.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with context.progress.bar("Publishing results", len(paths), "files") as bar:
        for path in paths:
            context.lock.check_cheaply()
            context.target.upload(f"{context.run_key}{path.relative_to(folder).as_posix()}", path)
            bar.advance()
    context.lock.check()
    before_report()
    context.target.write(f"{context.run_key}report.json", report)
