"""Medium: what the input datasource holds, and what is chosen from it; sentences are made with its nouns."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Medium:
    """Images, each of which is a file; or videos, whose frames are chosen."""

    noun: str
    """One of what is chosen."""
    file_noun: str
    """One of what lies in the input datasource."""

    @property
    def plural(self) -> str:
        """Several of what is chosen."""
        return f"{self.noun}s"

    @property
    def file_plural(self) -> str:
        """Several of what lies in the input datasource."""
        return f"{self.file_noun}s"

    @property
    def has_many_per_file(self) -> bool:
        """Whether a file holds many of what is chosen, which then have names of their own."""
        return self.noun != self.file_noun


IMAGES = Medium("image", "image")
VIDEOS = Medium("frame", "video")


def medium_of(dataset_type: str) -> Medium:
    """Return the medium that spec.dataset.type names.

    >>> medium_of("VIDEOS").plural, medium_of("VIDEOS").file_plural
    ('frames', 'videos')
    """
    return {"IMAGES": IMAGES, "VIDEOS": VIDEOS}[dataset_type]
