"""Single images that the report names: corrupt ones, exact copies, pairs of kept and removed ones, groups."""

from typing import Annotated, Literal

from pydantic import Field

from selection_job.report.models.base import Count, MaybeNumber, ReportModel

MOST_LISTED = 1000
"""Corrupt images and duplicates that are listed by name; the totals count all."""

MOST_GROUPS = 6

MOST_IN_GROUP = 5
"""Images of a group that are named beside its first."""

MOST_OUTLIERS = 10

GroupMembers = Annotated[list[str], Field(max_length=MOST_IN_GROUP)]


class CorruptFile(ReportModel):
    """An image or a video that can't be used."""

    filename: str
    reason: str


class CorruptImages(ReportModel):
    """Images that can't be used."""

    total: Count
    are_checked: bool
    """False where embeddings were given and no image was opened."""
    kinds: dict[str, Count]
    images: Annotated[list[CorruptFile], Field(max_length=MOST_LISTED)]


class DuplicateImage(ReportModel):
    """An exact copy."""

    filename: str
    duplicate_of: str


class CopyGroup(ReportModel):
    """An image with many copies, and some of them."""

    filename: str
    n_copies: Count
    copies: GroupMembers


class ExactDuplicates(ReportModel):
    """Exact copies with the image that they are copies of."""

    total: Count
    compared_by: Literal["bytes", "pixels", "vectors"]
    """Pixels of frames of videos; vectors where embeddings were given and no image was opened."""
    are_removed: bool
    images: Annotated[list[DuplicateImage], Field(max_length=MOST_LISTED)]
    groups: Annotated[list[CopyGroup], Field(max_length=MOST_GROUPS)]
    """The images with the most copies, and some of them."""


class SelectedAndRemovedImage(ReportModel):
    """A retained image beside a removed one, and the plot that shows them."""

    selected_image: str | None
    """Null where fewer images are retained than examples asked for."""
    removed_image: str | None
    """The removed image nearest to it; null where nothing was removed."""
    distance: MaybeNumber
    plot: str


class ThinnedGroup(ReportModel):
    """A selected image that stands for many removed ones, and the nearest of these."""

    selected_image: str
    n_removed: Count
    removed_images: GroupMembers


class Outlier(ReportModel):
    """A selected image that lies far from every other one."""

    filename: str
    distance: MaybeNumber


class ImageGroups(ReportModel):
    """Images that explain the selection."""

    thinned: Annotated[list[ThinnedGroup], Field(max_length=MOST_GROUPS)]
    """The images that stand for the most removed ones, and the nearest of these; a removed image belongs to the kept
    one nearest to it."""
    outliers: Annotated[list[Outlier], Field(max_length=MOST_OUTLIERS)]
    """The selected images that lie farthest from every other image."""
    n_searched: Count
    """Selected images among which outliers were searched: of very many a seeded sample."""
