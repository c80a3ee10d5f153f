"""A manifest made from what a store lists."""
