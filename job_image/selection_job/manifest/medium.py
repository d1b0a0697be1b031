"""Medium: what the input datasource holds, and what is chosen from it; sentences are made with its nouns."""

from dataclasses import dataclass

from selection_job.manifest.noun import FRAME, IMAGE, VIDEO, Noun


@dataclass(frozen=True)
class Medium:
    """Images, each of which is a file; or videos, whose frames are chosen."""

    noun: Noun
    """What is chosen."""
    file_noun: Noun
    """What lies in the input datasource."""

    @property
    def has_many_per_file(self) -> bool:
        """Whether a file holds many of what is chosen, which then have names of their own."""
        return self.noun != self.file_noun


IMAGES = Medium(IMAGE, IMAGE)
VIDEOS = Medium(FRAME, VIDEO)


def medium_of(dataset_type: str) -> Medium:
    """Return the medium that spec.dataset.type names.

    >>> medium_of("VIDEOS").noun.plural, medium_of("VIDEOS").file_noun.plural
    ('frames', 'videos')
    """
    return {"IMAGES": IMAGES, "VIDEOS": VIDEOS}[dataset_type]
