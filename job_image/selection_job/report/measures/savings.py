"""Estimated savings: labels not paid for and CO2 not emitted, from stated factors that the user can change."""

from collections.abc import Iterator

from selection_api.descriptions import describe_fields
from selection_api.model import Model
from selection_api.report_factors import ReportFactors
from selection_job.process.energy import Energy
from selection_job.report.models.savings import AnnotationSavings, Co2, Factor, Savings

_JOULES_PER_KWH = 3_600_000


def estimate_savings(factors: ReportFactors, *, n_avoided: int, energy: Energy) -> AnnotationSavings:
    """Return what not labelling n_avoided images saves, as estimates with their factors.

    n_avoided  readable images that were not selected; corrupt ones would not have been labelled anyway
    energy     what the run has used so far

    cost_savings  US dollars: images x labels per image x cost of a label
    co2_savings   kg CO2e: electricity of the avoided labelling, less that of this run, times the grid's intensity
    An amount whose factor is 0 is left out.
    """
    footprint = _estimate_co2(factors, n_avoided, energy)
    net_kg = None if footprint is None else footprint.net_kg
    tasks = {
        task: Savings(cost_savings=n_avoided * factors.labels_per_image * cost, co2_savings=net_kg)
        for task, cost in factors.label_cost_usd
        if cost > 0
    }
    return AnnotationSavings(
        is_estimate=True, n_images_not_labelled=n_avoided, **tasks, co2=footprint, factors=list(_list_factors(factors))
    )


def _estimate_co2(factors: ReportFactors, n_avoided: int, energy: Energy) -> Co2 | None:
    if not factors.grid_intensity_g_per_kwh or not factors.labelling_wh_per_label:
        return None
    labelling_kwh = n_avoided * factors.labels_per_image * factors.labelling_wh_per_label / 1000
    cpu_kwh = energy.cpu_seconds * factors.cpu_watts_per_core / _JOULES_PER_KWH
    gpu_kwh = (energy.gpu_joules or 0.0) / _JOULES_PER_KWH
    compute_kwh = (cpu_kwh + gpu_kwh) * factors.power_usage_effectiveness
    kg_per_kwh = factors.grid_intensity_g_per_kwh / 1000
    return Co2(
        cpu_seconds=energy.cpu_seconds,
        cpu_kwh=cpu_kwh,
        gpu_kwh=None if energy.gpu_joules is None else gpu_kwh,
        compute_kwh=compute_kwh,
        compute_kg=compute_kwh * kg_per_kwh,
        labelling_kwh=labelling_kwh,
        labelling_kg=labelling_kwh * kg_per_kwh,
        net_kg=(labelling_kwh - compute_kwh) * kg_per_kwh,
    )


def _list_factors(model: Model, prefix: str = "") -> Iterator[Factor]:
    """Yield every factor with what its field says about it; a value that the user set has no other source."""
    texts = describe_fields(type(model))
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Model):
            yield from _list_factors(value, f"{prefix}{name}.")
            continue
        yield Factor(
            name=prefix + name,
            value=value,
            is_set_by_user=name in model.model_fields_set,
            meaning=" ".join(texts[name].split()),
        )
