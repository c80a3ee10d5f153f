"""Bounded readers of the fields that image files are made of: boxes, and numbers of any number of bits."""
