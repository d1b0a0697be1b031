"""What is written at the end of a run, and in which order."""
