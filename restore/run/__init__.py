"""Layout prototype."""
