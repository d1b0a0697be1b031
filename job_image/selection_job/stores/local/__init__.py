"""A folder as a datasource."""
