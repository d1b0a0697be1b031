"""Store to pixels to catalog, in order and in bounded memory: one way for images, one for videos."""
