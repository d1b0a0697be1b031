"""Small readers and writers of file formats: they know nothing of a run."""
