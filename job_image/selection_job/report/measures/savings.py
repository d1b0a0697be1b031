"""Estimated savings: labels not paid for and CO2 not emitted, from stated factors that the user can change."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from selection_api.report_factors import ReportFactors
from selection_job.process.energy import Energy
from selection_job.report.numbers import rounded

JsonObject = dict[str, Any]

_JOULES_PER_KWH = 3_600_000

_TASKS = {
    "imageClassification": "image_classification",
    "objectDetection": "object_detection",
    "semanticSegmentation": "semantic_segmentation",
}


def estimate_savings(factors: ReportFactors, *, n_avoided: int, energy: Energy) -> JsonObject:
    """Return annotationSavings: what not labelling n_avoided images saves, as estimates with their factors.

    n_avoided  readable images that were not selected; corrupt ones would not have been labelled anyway
    energy     what the run has used so far

    costSavings  US dollars: images x labels per image x cost of a label
    co2Savings   kg CO2e: electricity of the avoided labelling, less that of this run, times the grid's intensity
    An amount whose factor is 0 is left out.
    """
    footprint = _estimate_co2(factors, n_avoided, energy)
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


def _estimate_co2(factors: ReportFactors, n_avoided: int, energy: Energy) -> JsonObject | None:
    if not factors.grid_intensity_g_per_kwh or not factors.labelling_wh_per_label:
        return None
    labelling_kwh = n_avoided * factors.labels_per_image * factors.labelling_wh_per_label / 1000
    cpu_kwh = energy.cpu_seconds * factors.cpu_watts_per_core / _JOULES_PER_KWH
    gpu_kwh = (energy.gpu_joules or 0.0) / _JOULES_PER_KWH
    compute_kwh = (cpu_kwh + gpu_kwh) * factors.power_usage_effectiveness
    kg_per_kwh = factors.grid_intensity_g_per_kwh / 1000
    return {
        "cpuSeconds": rounded(energy.cpu_seconds),
        "cpuKwh": rounded(cpu_kwh),
        **({} if energy.gpu_joules is None else {"gpuKwh": rounded(gpu_kwh)}),
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
