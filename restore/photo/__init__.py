"""The steps of one photo, without Ray or torch: prepare (CPU), paint (GPU or CPU), compose, upload (CPU)."""
