"""The operator: brings each SelectionRun to its Job and tells its story in the status."""
