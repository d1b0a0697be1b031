"""Exports: the selection in the forms that labelling tools and tables take."""
