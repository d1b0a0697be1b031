"""Tables and lists: CSV, JSON and text."""
