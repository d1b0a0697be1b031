"""What the operator says of itself: /healthz, metrics, logs."""
