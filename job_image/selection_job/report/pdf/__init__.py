"""report.pdf: reportlab is used here only."""
