"""Listing: the images or videos of the input datasource that take part in a run, sorted by name."""

import logging
from itertools import pairwise

import numpy as np

from selection_job.catalog.catalog import Listing
from selection_job.catalog.listing_notes import (
    explain_nothing,
    note_encoding,
    note_endings,
    note_relevant,
    note_unreadable,
)
from selection_job.catalog.relevant_filenames import RelevantFilenames, parse_relevant_filenames
from selection_job.catalog.sighting import look
from selection_job.errors import ObjectMissing, UnusableData
from selection_job.manifest.medium import IMAGES, VIDEOS, Medium
from selection_job.stores.store import Store

log = logging.getLogger("selection_job")


def list_images(input_store: Store, lightly_store: Store, *, relevant_filenames_file: str = "") -> Listing:
    """Return the images below the input datasource, by code points of their names.

    Files and folders whose name starts with '.' are left out, objects of size 0 stay (they become corrupt: 'empty').
    relevant_filenames_file    key in the lightly datasource; '' for all images. Its form: relevant_filenames.py
    Memory: the columns, about 250 bytes an image.
    Raises UnusableData where nothing takes part or the relevant-filenames file is missing or wrong.
    """
    return _list_media(IMAGES, input_store, lightly_store, relevant_filenames_file)


def list_videos(input_store: Store, lightly_store: Store, *, relevant_filenames_file: str = "") -> Listing:
    """Return the videos below the input datasource, as list_images does the images."""
    return _list_media(VIDEOS, input_store, lightly_store, relevant_filenames_file)


def _list_media(medium: Medium, input_store: Store, lightly_store: Store, relevant_filenames_file: str) -> Listing:
    relevant = None
    if relevant_filenames_file:
        relevant = _read_relevant(lightly_store, relevant_filenames_file, input_store.url)
    sighting = look(input_store, relevant, medium)
    passed_over = note_unreadable(sighting.unreadable)
    for note in passed_over:
        log.warning("%s", note)
    if not sighting.names:
        nothing = explain_nothing(sighting, relevant, input_store.url, lightly_store.url + relevant_filenames_file)
        raise UnusableData(" ".join([nothing, *passed_over]))
    of_names = [
        *note_relevant(sighting, relevant, relevant_filenames_file, input_store.url),
        *note_encoding(sighting.names),
    ]
    for note in [*of_names, *(others := note_endings(sighting))]:
        log.info("%s", note)
    sizes_bytes = np.frombuffer(sighting.sizes_bytes, np.int64)
    names, versions = sighting.names, sighting.versions
    if any(name > following for name, following in pairwise(names)):  # folders are listed as they come
        order = np.array(names, dtype=object).argsort(kind="stable")  # 8 bytes a name, where a list would take 40
        names, versions = [names[row] for row in order], [versions[row] for row in order]
        sizes_bytes = sizes_bytes[order]
    return Listing(
        names=names,
        sizes_bytes=sizes_bytes,
        versions=versions,
        notes=[*of_names, *passed_over, *others],
        left_out=np.frombuffer(sighting.left_out, np.int64),
    )


def _read_relevant(lightly_store: Store, key: str, input_url: str) -> RelevantFilenames:
    where = lightly_store.url + key
    try:
        content = lightly_store.read(key)
    except ObjectMissing as error:
        raise UnusableData(
            f"The relevant-filenames file was expected at {where} and is not there. Put it there, in the lightly "
            "datasource, or leave out spec.workerConfig.relevant_filenames_file to use all files."
        ) from error
    return parse_relevant_filenames(content, where=where, input_url=input_url)
