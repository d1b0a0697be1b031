"""What the user asked for, read once: YAML, the run, its goal, and which data that needs."""
