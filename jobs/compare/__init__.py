"""Variants of a recipe side by side: every photo by every variant, each a row of an ordinary store."""
