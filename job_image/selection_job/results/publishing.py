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
from selection_job.catalog.decoding import CorruptImage, decode_rgb
from selection_job.catalog.thumbnails import make_thumbnail
from selection_job.datapool_stage import add_to_datapool
from selection_job.embeddings.given_embeddings import find_key
from selection_job.encoder_stage import trained_files
from selection_job.errors import ObjectMissing, ObjectRefused
from selection_job.exports.writing import write_exports
from selection_job.needs import find_needs
from selection_job.predictions.problems import publish_problems
from selection_job.report.report_json import SourceFindings, report_json_bytes
from selection_job.report.writing import write_report
from selection_job.results.bounding_boxes import write_bounding_boxes
from selection_job.results.corruptness_check import write_corruptness_check
from selection_job.results.crop_images import write_crop_images
from selection_job.results.crops_table import write_crops_table
from selection_job.results.findings import Findings, describe_run, gather_facts, summarize
from selection_job.results.frame_images import FrameThumbnails, write_frame_images
from selection_job.results.image_copies import dump_images, write_thumbnails
from selection_job.results.metadata_table import write_metadata_table
from selection_job.results.name_lists import write_name_lists
from selection_job.results.pretagging_examples import write_examples
from selection_job.results.score_table import write_score_table
from selection_job.results.sequence_information import write_sequence_information
from selection_job.results.settings_files import write_settings
from selection_job.results.tables import write_clean, write_tables
from selection_job.results.video_tables import write_video_tables
from selection_job.source_stage import list_source_versions
from selection_job.stores.deleting import delete_keys
from selection_job.videos.video_counts import number_videos
from selection_job.workplace import Workplace

log = logging.getLogger("selection_job")


def find_finished(place: Workplace, listing: Listing) -> RunSummary | None:
    """Return the summary of this very run where it is already finished over the same images, else None.

    With use_datapool, whatever images there are: what the run selected is in the datapool, and new images are for the
    dataset's next run.
    """
    try:
        report = json.loads(place.target.read(f"{place.run_key}report.json"))
        has_changed = report["inputFingerprint"] != _fingerprint_input(place, listing)
        if has_changed and not place.worker.use_datapool:
            log.info("The input, checkpoint, embeddings, predictions or metadata have changed: the run runs again.")
            return None
        if has_changed:
            log.warning("This run is finished and in the datapool: choose among new images by a run of another name.")
        summary = RunSummary.from_bytes(json.dumps(report["summary"]).encode())
    except (ObjectMissing, ValueError, KeyError, TypeError):
        return None
    place.stages.forget()  # a run that was killed after its last write has left them
    return summary


def _fingerprint_input(place: Workplace, listing: Listing) -> str:
    """Return 64 hex digits for all that the run reads: images as listed, checkpoint, embeddings, sources."""
    given = place.worker.embeddings
    key = find_key(given) if given else place.spec.checkpoint
    versions = [info.version for info in place.target.list(key) if info.key == key] if key else []
    content: list[object] = [listing.fingerprint, versions]
    if sources := list_source_versions(place):
        content.append(sources)
    return sha256(json.dumps(content).encode()).hexdigest()


def write_results(place: Workplace, findings: Findings) -> RunSummary:
    """Write the whole output tree and return the run's summary."""
    folder = place.scratch / "results"
    place.lock.check()
    _clear_outdated(place)
    with place.progress.stage(Stage.SAVING_RESULTS):
        _write_data(folder, place, findings)
    with place.progress.stage(Stage.GENERATING_REPORT):
        report = _write_report(folder, place, findings)
    with place.progress.stage(Stage.UPLOADING_ARTIFACTS):
        summary = summarize(place, findings)
        report |= {
            "inputFingerprint": _fingerprint_input(place, findings.listing),
            "summary": summary.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        place.lock.check()
        publish(folder, place, report_json_bytes(report), lambda: _add_to_datapool(place, findings))
        place.stages.forget()
    return summary


def _clear_outdated(place: Workplace) -> None:
    """Delete what an earlier try left behind, report.json first, so that nobody reads a mix of two tries."""
    place.target.delete(f"{place.run_key}report.json")
    keys = [info.key for info in place.target.list(place.run_key)]
    delete_keys(place.target, [key for key in keys if not key.startswith(f"{place.run_key}.stages/")])


def _write_data(folder: Path, place: Workplace, findings: Findings) -> None:
    catalog, selection = findings.catalog, findings.selection
    write_tables(folder / "data", catalog, findings.embeddings, selection)
    write_score_table(
        folder / "data" / "al_score_embeddings.csv",
        catalog.names,
        findings.embeddings,
        selection.candidates,
        spec=place.spec,
        sources=findings.sources,
        labels=number_videos(catalog),
    )
    write_video_tables(folder / "data", catalog, selection)
    if place.worker.enable_corruptness_check and catalog.was_read:
        write_clean(folder / "data" / "clean.csv", catalog)
        write_corruptness_check(folder / "data" / "corruptness_check_information.json", catalog)
    publish_problems(place.scratch, folder / "data")
    columns = [findings.sources.columns[key] for key in find_needs(place.spec).metadata]
    write_metadata_table(folder / "data" / "metadata.csv", catalog.names[: catalog.n_new], selection.selected, columns)
    _write_objects(folder / "data", place, findings)
    if place.worker.pretagging and place.worker.pretagging_debug:
        detected = findings.sources.tasks[PRETAGGING_TASK]
        write_examples(folder / "data" / "bounding_boxes_examples", place.source, catalog, detected)
    write_sequence_information(folder / "data" / "sequence_information.json", catalog, selection)
    write_name_lists(folder / "filenames", catalog, selection)
    write_exports(folder / "exports", place, findings)
    write_settings(folder / "config", place.run, describe_run(place, findings.encoder))
    for name, path in trained_files(findings.encoder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    if place.spec.writes_images:
        place.notes.extend(_dump(place, findings))
    selected_names = (catalog.names[row] for row in selection.selected.tolist())
    thumbnail, datasources = _thumbnail_source(place, findings), place.spec.datasources
    place.notes.extend(write_thumbnails(place.target, datasources, selected_names, thumbnail, glance=place.lock.glance))


def _write_objects(folder: Path, place: Workplace, findings: Findings) -> None:
    """Write what is known of objects on the images: their boxes, and those that were cut out."""
    catalog, objects = findings.catalog, findings.chosen.objects
    write_bounding_boxes(folder / "bounding_boxes.json", catalog, findings.sources.tasks.values())
    write_crops_table(folder / "crops.csv", catalog, findings.embedded.crops, objects)
    if place.spec.writes_images and objects is not None:
        place.notes.extend(write_crop_images(place, catalog, objects))


def _dump(place: Workplace, findings: Findings) -> list[str]:
    """Write the images, or the selected frames, as files; return notes on what was missing."""
    if findings.catalog.frames is not None:
        return write_frame_images(place, findings.listing, findings.catalog, findings.selection)
    return dump_images(
        place.source,
        place.target,
        place.run_key,
        catalog=findings.catalog,
        selection=findings.selection,
        worker=place.worker,
        progress=place.progress,
        glance=place.lock.glance,
    )


def _thumbnail_source(place: Workplace, findings: Findings) -> Callable[[str], bytes | None]:
    """Return how a thumbnail is found: in the local cache, or read again where it fell out."""
    if findings.catalog.frames is not None:
        return FrameThumbnails(place, findings.listing, findings.catalog).get

    def thumbnail(name: str) -> bytes | None:
        kept = place.thumbnails.get(name)
        if kept is not None:
            return kept
        try:
            made = make_thumbnail(decode_rgb(place.source.read(name)))
        except (ObjectMissing, ObjectRefused, CorruptImage):
            return None
        place.thumbnails.put(name, made)
        return made

    return thumbnail


def _write_report(folder: Path, place: Workplace, findings: Findings) -> dict[str, Any]:
    return write_report(
        folder,
        facts=gather_facts(place, findings),
        catalog=findings.catalog,
        embeddings=findings.embeddings,
        selection=findings.selection,
        thumbnail=_thumbnail_source(place, findings),
        worker=place.worker,
        sources=SourceFindings(findings.sources, findings.chosen.objects, findings.chosen.sequences),
    )


def _add_to_datapool(place: Workplace, findings: Findings) -> None:
    add_to_datapool(place, findings.pool, findings.embedded, findings.selection.selected, findings.encoder)


def publish(folder: Path, place: Workplace, report: bytes, before_report: Callable[[], None] = lambda: None) -> None:
    """Upload every file of the folder, then report.json: once that is there, everything is.

    before_report  called between the two
    Raises TryAgain, before the next file, where another process has taken the run's lock.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with place.progress.bar("Publishing results", len(paths), "files") as bar:
        for path in paths:
            place.lock.glance()
            place.target.upload(f"{place.run_key}{path.relative_to(folder).as_posix()}", path)
            bar.advance()
    place.lock.check()
    before_report()
    place.target.write(f"{place.run_key}report.json", report)
