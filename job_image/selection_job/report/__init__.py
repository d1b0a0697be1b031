"""What people read afterwards: plots, report.json, report.pdf."""
