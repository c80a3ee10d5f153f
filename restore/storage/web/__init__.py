"""Inputs over http and https, which any stranger's server may serve."""
