"""Videos: their frames, one after the other."""
