"""Many photos on Ray: the Ray Data pipeline, and the tracker of crashed workers."""
