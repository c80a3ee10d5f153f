"""The commands of `python -m manifests`: each a settings class and a function that returns the exit code."""
