"""The models of report.json, one for each section: report_schema.json is generated from them (make generate)."""
