"""Savings are factor times count, stated as estimates, and left out where a factor is 0."""

import pytest

from selection_api.report_factors import ReportFactors
from selection_job.process.energy import Energy
from selection_job.report.measures.savings import estimate_savings
from selection_job.report.sections.analysis import make_decisions_section
from selection_job.report.sections.appendix import make_savings_section


def estimate(n_avoided=1000, cpu_seconds=3600.0, gpu_joules=None, **factors):
    energy = Energy(cpu_seconds, gpu_joules)
    savings = estimate_savings(ReportFactors.model_validate(factors), n_avoided=n_avoided, energy=energy)
    return savings.to_json_values()


def test_cost_is_images_times_labels_times_price():
    savings = estimate(label_cost_usd={"object_detection": 0.05}, labels_per_image=4)
    assert savings["objectDetection"]["costSavings"] == pytest.approx(1000 * 4 * 0.05)


def test_co2_is_the_labelling_avoided_less_the_run_itself():
    known = {"cpu_watts_per_core": 100, "power_usage_effectiveness": 1.5}
    savings = estimate(labelling_wh_per_label=2, labels_per_image=3, grid_intensity_g_per_kwh=400, **known)
    assert savings["co2"]["labellingKwh"] == pytest.approx(6.0)
    assert savings["co2"]["cpuKwh"] == pytest.approx(0.1)
    assert savings["co2"]["computeKwh"] == pytest.approx(0.15)
    assert "gpuKwh" not in savings["co2"]
    assert savings["imageClassification"]["co2Savings"] == pytest.approx((6.0 - 0.15) * 0.4)


def test_what_a_gpu_has_measured_is_added():
    savings = estimate(gpu_joules=7_200_000, cpu_watts_per_core=0, power_usage_effectiveness=1)
    assert savings["co2"]["gpuKwh"] == savings["co2"]["computeKwh"] == pytest.approx(2.0)


def test_a_price_of_zero_leaves_its_estimate_out():
    savings = estimate(label_cost_usd={"semantic_segmentation": 0})
    assert "semanticSegmentation" not in savings
    assert "imageClassification" in savings


@pytest.mark.parametrize("factor", ["grid_intensity_g_per_kwh", "labelling_wh_per_label"])
def test_co2_is_left_out_without_its_factors(factor):
    savings = estimate(**{factor: 0})
    assert "co2" not in savings
    assert "co2Savings" not in savings["imageClassification"]


def test_every_factor_stands_beside_the_estimates_with_its_source():
    factors = {factor["name"]: factor for factor in estimate(cpu_watts_per_core=200)["factors"]}
    assert factors["cpu_watts_per_core"]["value"] == 200
    assert factors["cpu_watts_per_core"]["isSetByUser"]
    assert "IEA" in factors["grid_intensity_g_per_kwh"]["meaning"]
    assert not factors["label_cost_usd.object_detection"]["isSetByUser"]


def test_where_all_was_selected_nothing_is_called_saved_and_the_run_itself_is_told():
    def print_section(n):
        return str(make_savings_section({"annotationSavings": estimate(n_avoided=n)}))

    none, some = print_section(0), print_section(3)
    assert "Every readable image was selected" in none
    assert "This run" in none
    assert "labels_per_image" in none
    for told in ("the 3 readable images that the run did not select get no labels", "cost saved", "Saved"):
        assert told in some
    for told in ("0 readable", "cost saved", "US$ 0.00", "Labelling that is not done", "Saved"):
        assert told not in none


def test_where_nothing_was_removed_there_is_no_table_of_pairs():
    def print_section(removed):
        entry = {"selectedImage": "a.png", "removedImage": removed, "distance": 0.5}
        return str(make_decisions_section({"selectedAndRemovedImageExamples": [entry]}, lambda name: None))

    assert "nearest removed" in print_section("b.png")
    assert "Nothing was removed" in print_section(None)
    assert "nearest removed" not in print_section(None)
