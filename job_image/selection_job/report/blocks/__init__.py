"""What the pages of report.pdf and report.html are made of, as values: neither printer knows of the other."""
