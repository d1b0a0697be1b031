"""Bounds on distances: trees over vectors."""
