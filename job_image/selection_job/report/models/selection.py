"""What was chosen and why: of images or frames, of objects on them, of sequences of them."""

from typing import Annotated

from pydantic import Field

from selection_job.report.models.base import Count, MaybeAbsent, MaybeNumber, Number, ReportModel
from selection_job.selection.selection import Cause

MOST_PICKS = 1000
"""Picks of the curve of covering radii that are listed."""

MOST_LINES = 10
"""Round radii for which it is told how many picks reach them."""

MOST_FIRST = 24
"""Selected images that are named in the order of choice; the PDF's cover shows them."""

MOST_CATEGORIES = 1000
"""Categories of objects that are listed."""

_MOST_STRATEGIES = 64  # as many as a selectionConfig may have

_MOST_FILTERS = 80  # these, min_counts of seven classes, and what is in no sequence or has no object

Picks = Annotated[int, Field(ge=1)]


class CoverRadiusByPick(ReportModel):
    """The covering radius after so many picks, of what passes every THRESHOLD, at most 1000 of them."""

    picks: Annotated[list[Picks], Field(max_length=MOST_PICKS)]
    radii: Annotated[list[MaybeNumber], Field(max_length=MOST_PICKS)]
    """Null for the methods random and strategies."""


class ImagesForRadius(ReportModel):
    """How many images, in the order of choice, bring the covering radius down to this."""

    radius: Number
    n_images: Picks


class Coverage(ReportModel):
    """How many images a radius needs, of the images that pass every THRESHOLD."""

    is_exact: bool
    """Whether the radius after each pick is known."""
    why_unknown: str | None
    images_for_radius: Annotated[list[ImagesForRadius], Field(max_length=MOST_LINES)]


class ClassShare(ReportModel):
    """The share of a class that a BALANCE aims at, and its share in each set."""

    name: str
    target: MaybeNumber
    """Null where nothing that passes every THRESHOLD, or was selected before, has any of the class; the others' targets
    are scaled up to 1."""
    input: MaybeNumber
    selected: MaybeNumber
    random: MaybeNumber


class StrategyEffect(ReportModel):
    """What a strategy did; a number is null where a set has nothing to measure."""

    name: str
    """As in data/selection.csv."""
    type: str
    strength: float | None
    """Null for THRESHOLD."""
    measure: str
    """What input, selected and random hold."""
    input: MaybeNumber
    """Of all that pass every THRESHOLD; of a THRESHOLD itself: of all that it looked at."""
    selected: MaybeNumber
    random: MaybeNumber
    """Of a random choice of as many among those that pass."""
    n_passing: MaybeAbsent[Count] = None
    """THRESHOLD: for how many the comparison holds."""
    distribution: MaybeAbsent[str] = None
    """BALANCE: INPUT, UNIFORM or TARGET."""
    classes: MaybeAbsent[list[ClassShare]] = None
    """BALANCE: the share of each class."""


class KeptOut(ReportModel):
    """What a filter kept out that those before it let pass."""

    cause: Annotated[Cause, Field(strict=False)]
    """THRESHOLD; MIN_COUNTS: pretagging_config's; NO_OBJECT: the image has none that could be chosen; NO_SEQUENCE: the
    frame is in none."""
    name: str
    """As in data/selection.csv under filtered_by."""
    number: Picks


KeptOutParts = Annotated[list[KeptOut], Field(max_length=_MOST_FILTERS)]

StrategyEffects = Annotated[list[StrategyEffect], Field(max_length=_MOST_STRATEGIES)]


class SelectionInformation(ReportModel):
    """How the images were chosen."""

    method: str
    stopped_by: str
    normalize_embeddings: bool
    """Distances are measured on rows of unit length."""
    embedding_dimensions: Count
    first_selected: Annotated[list[str], Field(max_length=MOST_FIRST)]
    """In the order of choice."""
    sequence_length: Annotated[int, Field(ge=1)]
    """How many frames are selected at once; 1: each by itself. Above 1 sequenceInformation has what was chosen, and the
    radii here are of single frames."""
    cover_radius: Number
    """Largest distance of any candidate that passes every THRESHOLD to its nearest selected image; exact."""
    cover_mean: Number
    cover_radius_by_pick: CoverRadiusByPick
    coverage: Coverage
    n_filtered: Count
    """The part of nRemoved that a THRESHOLD kept out, or that lies in no whole sequence."""
    kept_out: MaybeAbsent[KeptOutParts] = None
    """nFiltered by what kept them out, each image with the first filter that it does not pass; absent where it is 0."""
    n_asked: MaybeAbsent[Count] = None
    """How many images were asked for; absent where stopping conditions alone end the selection, and where objects were
    asked for."""
    strategies: StrategyEffects
    """What each strategy of selectionConfig did, thresholds first; empty for method random without a THRESHOLD."""


class Choice(ReportModel):
    """What was chosen among something else than images: objects or sequences."""

    n_candidates: Count
    """That could be chosen, or were kept out by a THRESHOLD."""
    n_filtered: Count
    """Kept out by a THRESHOLD."""
    kept_out: MaybeAbsent[KeptOutParts] = None
    """The same by what kept them out; absent where nothing was."""
    n_asked: MaybeAbsent[Count] = None
    """How many were asked for; absent where stopping conditions alone end the selection."""
    n_selected: Count
    method: str
    """coreset, random or strategies, as of images."""
    stopped_by: str
    cover_radius: MaybeNumber
    """The largest distance from a candidate that passes every THRESHOLD to the nearest chosen one."""
    cover_mean: MaybeNumber
    cover_radius_by_pick: CoverRadiusByPick
    strategies: StrategyEffects


class CategoryCount(ReportModel):
    """Numbers of objects of a category."""

    name: str
    input: Count
    selected: Count
    random: Count


class ObjectLevelInformation(Choice):
    """Where workerConfig.object_level selects objects: what was chosen among them. Everything else in the report is
    about whole images.
    """

    task: str
    n_objects: Count
    """Cut out and embedded, those on exact copies of images too."""
    n_images_with_objects: Count
    categories: Annotated[list[CategoryCount], Field(max_length=MOST_CATEGORIES)]
    """Numbers of objects: among the candidates that pass every THRESHOLD, the chosen ones and a random choice of as
    many."""


class LeftOut(ReportModel):
    """Frames that are in no sequence, by cause."""

    n_frames_in_rests: Count
    """Fewer than length in a row were left, of a video, of a folder, or before what earlier runs selected."""
    n_frames_beside_corrupt: Count
    """Usable frames of a sequence that has a corrupt one."""


class SequencesForRadius(ReportModel):
    """How many sequences, in the order of choice, bring the covering radius down to this."""

    radius: Number
    n_sequences: Picks


class SequenceInformation(Choice):
    """Where workerConfig.selected_sequence_length is above 1: what was chosen among the sequences of frames. Distances
    are between the means of their embeddings. Everything else in the report counts and compares single frames.
    """

    length: Annotated[int, Field(ge=2)]
    """Frames of a sequence."""
    n_sequences: Count
    """Whole sequences without a corrupt frame, exact copies of others too."""
    n_duplicate: Count
    """That were left out as exact copies of another."""
    left_out: LeftOut
    sequences_for_radius: Annotated[list[SequencesForRadius], Field(max_length=MOST_LINES)]
    """Empty where the radius is not known after each pick."""
