"""Figures: matplotlib is used here only."""
