"""Pretagging: a detector of road users that needs no predictions by the user."""
