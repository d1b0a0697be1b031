"""A bucket as a datasource."""
