"""Damage to windows, painted windows back to pixels, and what can be measured of the result."""
