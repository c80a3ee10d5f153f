"""Checkpoints on this node: from a model's name to a verified directory."""

from restore import installation

installation.require()
