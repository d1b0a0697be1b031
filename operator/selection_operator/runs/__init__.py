"""Decisions about one SelectionRun: pure functions of what is known at one moment; no await, no clock of their own."""
