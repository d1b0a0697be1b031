"""What earlier runs of a dataset selected and saw, kept in the lightly datasource."""
