"""The stages of a run, one file each; pipeline.py is their table of contents."""
