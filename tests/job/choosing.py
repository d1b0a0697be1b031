"""Selections by a spec: what the selection stage does with one, without a run around it."""

from selection_job.manifest.goal import make_goal
from selection_job.selection.image_selection import select_images
from selection_job.selection.object_selection import select_objects
from selection_job.selection.sequence_selection import select_sequences


def choose_images(catalog, embeddings, spec, sources):
    """Choose images, or frames of videos."""
    return select_images(make_goal(spec).resolve(catalog.n_input), catalog, embeddings, sources, spec.worker_config)


def choose_objects(catalog, crops, spec, sources):
    """Choose crops."""
    return select_objects(make_goal(spec).resolve(len(crops)), catalog, crops, sources, spec.worker_config)


def choose_sequences(catalog, embeddings, spec, sources):
    """Choose sequences: the frames, and the sequences."""
    return select_sequences(make_goal(spec).resolve(catalog.n_input), catalog, embeddings, sources, spec.worker_config)
