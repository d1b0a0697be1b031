"""annotationSavings: what not labelling the removed images saves, as estimates beside their factors."""

from typing import Literal

from selection_job.report.models.base import Count, MaybeAbsent, Number, ReportModel


class Savings(ReportModel):
    """What is saved where the images would have been labelled for one task."""

    cost_savings: Number
    """US dollars."""
    co2_savings: MaybeAbsent[Number] = None
    """kg CO2e, net of the run's own."""


class Co2(ReportModel):
    """Electricity and CO2 equivalent of the run, and of the labelling that it spares."""

    cpu_seconds: Number
    """CPU time of the run's processes until the report was begun."""
    cpu_kwh: Number
    """By a stated power of a core."""
    gpu_kwh: MaybeAbsent[Number] = None
    """By the GPU's own counter; absent where nothing was measured."""
    compute_kwh: Number
    compute_kg: Number
    labelling_kwh: Number
    labelling_kg: Number
    net_kg: Number


class Factor(ReportModel):
    """A factor of the estimates."""

    name: str
    value: Number
    is_set_by_user: bool
    meaning: str


class AnnotationSavings(ReportModel):
    """Estimates with their factors. An amount whose factor is 0 is left out."""

    is_estimate: Literal[True]
    n_images_not_labelled: Count
    image_classification: MaybeAbsent[Savings] = None
    object_detection: MaybeAbsent[Savings] = None
    semantic_segmentation: MaybeAbsent[Savings] = None
    co2: MaybeAbsent[Co2] = None
    factors: list[Factor]
