"""report.html: the page, its script and its style."""
