"""Numbers for report.json: no drawing."""
