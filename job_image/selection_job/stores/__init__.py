"""Where bytes come from and go to: one Store for every kind of datasource."""
