"""Estimated savings: labels not paid for and CO2 not emitted, from stated factors that the user can change."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from selection_api.report_factors import ReportFactors
from selection_job.report.numbers import rounded

JsonObject = dict[str, Any]

_TASKS = {
    "imageClassification": "image_classification",
    "objectDetection": "object_detection",
    "semanticSegmentation": "semantic_segmentation",
}


def estimate_savings(factors: ReportFactors, *, n_avoided: int, compute_seconds: float) -> JsonObject:
    """Return annotationSavings: what not labelling n_avoided images saves, as estimates with their factors.

    n_avoided        readable images that were not selected; corrupt ones would not have been labelled anyway
    compute_seconds  wall time of the run so far

    costSavings  US dollars: images x labels per image x cost of a label
    co2Savings   kg CO2e: electricity of the avoided labelling, less that of this run, times the grid's intensity
    An amount whose factor is 0 is left out.
    """
    footprint = _estimate_co2(factors, n_avoided, compute_seconds)
    co2 = {} if footprint is None else {"co2Savings": footprint["netKg"]}
    tasks = {}
    for name, field in _TASKS.items():
        if (cost := getattr(factors.label_cost_usd, field)) > 0:
            tasks[name] = {"costSavings": rounded(n_avoided * factors.labels_per_image * cost), **co2}
    return {
        "isEstimate": True,
        "nImagesNotLabelled": n_avoided,
        **tasks,
        **({} if footprint is None else {"co2": footprint}),
        "factors": list(_list_factors(factors)),
    }


def _estimate_co2(factors: ReportFactors, n_avoided: int, compute_seconds: float) -> JsonObject | None:
    if not factors.grid_intensity_g_per_kwh or not factors.labelling_wh_per_label:
        return None
    labelling_kwh = n_avoided * factors.labels_per_image * factors.labelling_wh_per_label / 1000
    compute_kwh = compute_seconds * factors.cpu_watts / 3_600_000
    kg_per_kwh = factors.grid_intensity_g_per_kwh / 1000
    return {
        "computeSeconds": rounded(compute_seconds),
        "computeKwh": rounded(compute_kwh),
        "computeKg": rounded(compute_kwh * kg_per_kwh),
        "labellingKwh": rounded(labelling_kwh),
        "labellingKg": rounded(labelling_kwh * kg_per_kwh),
        "netKg": rounded((labelling_kwh - compute_kwh) * kg_per_kwh),
    }


def _list_factors(model: BaseModel, prefix: str = "") -> Iterator[JsonObject]:
    """Yield every factor with what its field says about it; a value that the user set has no other source."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _list_factors(value, f"{prefix}{name}.")
            continue
        yield {
            "name": prefix + name,
            "value": rounded(value),
            "isSetByUser": name in model.model_fields_set,
            "meaning": " ".join((field.description or "").split()),
        }
