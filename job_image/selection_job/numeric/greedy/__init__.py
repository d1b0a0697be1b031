"""Choosing rows: objectives, and the searches that maximize them."""
