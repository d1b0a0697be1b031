"""What report.pdf and report.html say, section by section: lists of blocks, made of the report's own numbers."""
