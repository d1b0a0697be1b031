"""workerConfig.report: the factors behind the report's estimates, each with its source, each the user's to change."""

from typing import Annotated

from pydantic import Field

from selection_api.model import Model, NonNegative, default_section


class LabelCost(Model):
    """US dollars for one label by one worker, without platform fees; 0 leaves the estimate out."""

    image_classification: NonNegative = 0.012
    """US dollars to classify one image. Source: lowest price in Amazon SageMaker Ground Truth's menu, 2026."""

    object_detection: NonNegative = 0.036
    """US dollars to draw one bounding box. Source: lowest price in Amazon SageMaker Ground Truth's menu, 2026."""

    semantic_segmentation: NonNegative = 0.84
    """US dollars to outline one segment. Source: lowest price in Amazon SageMaker Ground Truth's menu, 2026."""


class ReportFactors(Model):
    """Factors of the savings that the report estimates. The defaults are rough: set what you know."""

    label_cost_usd: LabelCost = default_section()
    """What one label costs, in US dollars; 0 leaves the estimate out."""

    labels_per_image: NonNegative = 1.0
    """How many labels an image gets: objects on it times the workers that label each."""

    grid_intensity_g_per_kwh: NonNegative = 475.0
    """Grams of CO2 equivalent per kWh of electricity. Source: the world's average of 2019 (IEA)."""

    labelling_wh_per_label: NonNegative = 0.5
    """Electricity in Wh that labelling takes for one label. Ours: a workstation of 60 W for half a minute."""

    cpu_watts_per_core: NonNegative = 10.0
    """Power in W of a busy CPU core with its share of memory and board, for the run's own footprint; GPUs are measured.
    Ours: a server of 32 cores that takes 320 W under load."""

    power_usage_effectiveness: Annotated[float, Field(ge=1, le=10)] = 1.56
    """Electricity of the data centre for that of its machines. Source: the mean of Uptime Institute's survey, 2024."""
