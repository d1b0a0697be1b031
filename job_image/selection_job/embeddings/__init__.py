"""Embeddings that the user brings along: a table in CSV, used instead of reading images."""
