"""One photo, without Ray and torch: prepare (CPU), paint (a GPU actor), finish (CPU)."""
