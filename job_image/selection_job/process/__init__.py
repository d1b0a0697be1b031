"""The process itself: environment, machine, signals, progress, metrics, first and last words."""
