"""How each datasource came to its credentials stands in report.json and in the PDF's job section."""

import pytest
from jsonschema import validate
from pydantic import ValidationError
from pypdf import PdfReader

from selection_job.report.report_json import read_schema
from selection_job.report.writing import write_report

METHODS = {"input": "web identity (IRSA) of arn:aws:iam::1:role/r", "lightly": "Secret writer (SAS token)"}


def test_both_methods_are_in_the_report_and_in_the_pdf(make_report_input, tmp_path):
    report = write_report(tmp_path, **make_report_input(facts={"credentials": METHODS}))
    validate(report, read_schema())
    assert report["generalInformation"]["runInformation"]["credentials"] == METHODS
    text = "".join(page.extract_text() for page in PdfReader(tmp_path / "report.pdf").pages).replace("\n", " ")
    assert f"input: {METHODS['input']}; results: {METHODS['lightly']}" in text


@pytest.mark.parametrize("credentials", [{"input": "a"}, {**METHODS, "secret": "x"}])
def test_the_report_takes_the_two_methods_and_nothing_else(make_report, credentials):
    with pytest.raises(ValidationError):
        make_report(facts={"credentials": credentials})
