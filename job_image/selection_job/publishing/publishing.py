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
from selection_job.catalog.embedded import Embedded
from selection_job.embeddings.encoder_record import write_record
from selection_job.embeddings.given_embeddings import find_table_key
from selection_job.errors import ObjectMissing
from selection_job.formats.distinct_names import Renamed
from selection_job.predictions.problems import publish_problems
from selection_job.publishing.exports import write_exports
from selection_job.publishing.run_results import RunResults, describe_run, find_record, gather_facts, summarize
from selection_job.report.report_json import SourceFindings, report_json_bytes
from selection_job.report.writing import write_report
from selection_job.results.pictures.crop_images import name_folder, write_crop_images
from selection_job.results.pictures.image_copies import (
    find_meeting_thumbnails,
    find_suffix,
    list_renamed_copies,
    write_thumbnails,
)
from selection_job.results.pictures.pretagging_examples import write_examples
from selection_job.results.tables.bounding_boxes import write_bounding_boxes
from selection_job.results.tables.crops_table import write_crops_table
from selection_job.results.tables.metadata_table import write_metadata_table
from selection_job.results.tables.name_lists import write_corruptness_check, write_name_lists
from selection_job.results.tables.output_names import write_output_names
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
    context.progress.report = report
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


def write_results(context: RunContext, results: RunResults) -> RunSummary:
    """Write the whole output tree and return the run's summary."""
    folder = context.scratch / "results"
    context.lease.check()
    _clear_outdated(context)
    with context.progress.stage(Stage.SAVING_RESULTS):
        notes = _write_data(folder, context, results)
    with context.progress.stage(Stage.GENERATING_REPORT):
        report = _write_report(folder, context, results, notes)
    with context.progress.stage(Stage.UPLOADING_ARTIFACTS):
        summary = summarize(context, results)
        report |= {
            "inputFingerprint": _fingerprint_input(context, results.view.listing),
            "summary": summary.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        context.lease.check()
        publish(folder, context, report_json_bytes(report), lambda: _add_to_datapool(context, results))
        context.progress.report = report
        context.stages.forget()
    return summary


def _clear_outdated(context: RunContext) -> None:
    """Delete what an earlier try left behind, report.json first, so that nobody reads a mix of two tries."""
    context.target.delete(f"{context.run_key}report.json")
    keys = [info.key for info in context.target.list(context.run_key)]
    delete_keys(context.target, [key for key in keys if not key.startswith(f"{context.run_key}.stages/")])


def _write_data(folder: Path, context: RunContext, results: RunResults) -> list[str]:
    """Write all but the report; return notes on what could not be written."""
    catalog, selection = results.catalog, results.selection
    forms = context.worker.table_forms
    write_tables(folder / "data", catalog, results.embeddings, selection, forms)
    if record := find_record(results):
        write_record(folder / "data", record)
    write_score_table(
        folder / "data",
        catalog.names,
        results.embeddings,
        selection.candidates,
        scores=context.goal.scores,
        sources=results.sources,
        labels=number_videos(catalog),
        forms=forms,
    )
    write_video_tables(folder / "data", catalog, selection)
    if context.worker.enable_corruptness_check and catalog.was_read:
        write_clean(folder / "data" / "clean.csv", catalog)
        write_corruptness_check(folder / "data" / "corruptness_check_information.json", catalog)
    publish_problems(context.scratch, folder / "data")
    columns = [results.sources.columns[key] for key in context.needs.metadata]
    write_metadata_table(folder / "data" / "metadata.csv", catalog.names[: catalog.n_new], selection.selected, columns)
    notes = _write_objects(folder / "data", context, results)
    if context.worker.pretagging and context.worker.pretagging_debug:
        detected = results.sources.tasks[PRETAGGING_TASK]
        write_examples(folder / "data" / "bounding_boxes_examples", context.source, catalog, detected)
    write_sequence_information(folder / "data" / "sequence_information.json", catalog, selection)
    write_name_lists(folder / "filenames", catalog, selection)
    renamed = write_exports(folder / "exports", context, results)
    write_settings(folder / "config", context.run, describe_run(context, results.encoder))
    for name, path in trained_files(results.encoder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    return notes + _write_pictures(folder / "data", context, results, renamed)


def _write_pictures(folder: Path, context: RunContext, results: RunResults, renamed: list[Renamed]) -> list[str]:
    """Write copies and thumbnails, and the table of all that is renamed, these and the given ones; return notes."""
    catalog, selection, datasources = results.catalog, results.selection, context.spec.datasources
    names = [catalog.names[row] for row in selection.selected.tolist()]
    of_pool_first = [*catalog.names[catalog.n_new :], *catalog.names[: catalog.n_new]]
    thumbnails = find_meeting_thumbnails(find_suffix(datasources), of_pool_first)
    renamed = renamed + [Renamed("thumbnail", name, thumbnails[name]) for name in names if name in thumbnails]
    notes: list[str] = []
    if context.spec.writes_images:
        is_changed = catalog.medium.has_many_per_file or context.worker.output_image_size != -1
        renamed += list_renamed_copies(names, context.worker.output_image_format if is_changed else None)
        notes += results.medium.write_pictures(context, results.view.listing, catalog, selection)
    return [
        *notes,
        *write_output_names(folder, renamed),
        *write_thumbnails(
            context.target,
            datasources,
            names,
            _make_thumbnails(context, results),
            renamed=thumbnails,
            check_cheaply=context.lease.check_cheaply,
        ),
    ]


def _make_thumbnails(context: RunContext, results: RunResults) -> Callable[[str], bytes | None]:
    return results.medium.make_thumbnails(context, results.view.listing, results.catalog)


def _write_objects(folder: Path, context: RunContext, results: RunResults) -> list[str]:
    """Write what is known of objects on the images: their boxes, and those that were cut out; return notes."""
    catalog, objects = results.catalog, results.objects
    write_bounding_boxes(folder / "bounding_boxes.json", catalog, results.sources.tasks.values())
    write_crops_table(folder / "crops.csv", catalog, results.crops, objects)
    if objects is None or not context.spec.writes_images:
        return []
    return write_crop_images(
        context.source,
        context.target,
        f"{context.run_key}data/crops/{name_folder(context.worker, context.run.dataset_name)}",
        catalog=catalog,
        objects=objects,
        worker=context.worker,
        progress=context.progress,
        check_cheaply=context.lease.check_cheaply,
    )


def _write_report(folder: Path, context: RunContext, results: RunResults, notes: list[str]) -> dict[str, Any]:
    return write_report(
        folder,
        facts=gather_facts(context, results, notes),
        catalog=results.catalog,
        embeddings=results.embeddings,
        selection=results.selection,
        thumbnail=_make_thumbnails(context, results),
        worker=context.worker,
        sources=SourceFindings(results.sources, results.objects, results.sequences),
    )


def _add_to_datapool(context: RunContext, results: RunResults) -> None:
    embedded = Embedded(results.catalog, results.embeddings)
    add_to_datapool(context, results.view, embedded, results.selection.selected, results.encoder)


def publish(folder: Path, context: RunContext, report: bytes, before_report: Callable[[], None] = lambda: None) -> None:
    """Upload every file of the folder, then report.json: once that is there, everything is.

    before_report  called between the two
    Raises TryAgain, before the next file, where another process has taken the run's lock.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with context.progress.bar("Publishing results", len(paths), "files") as bar:
        for path in paths:
            context.lease.check_cheaply()
            context.target.upload(f"{context.run_key}{path.relative_to(folder).as_posix()}", path)
            bar.advance()
    context.lease.check()
    before_report()
    context.target.write(f"{context.run_key}report.json", report)
