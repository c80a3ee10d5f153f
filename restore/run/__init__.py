"""What the driver of a run writes: lease, rows, error budget, events, progress and metrics."""
