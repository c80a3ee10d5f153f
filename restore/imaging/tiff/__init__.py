"""TIFF files: which page is the photo, how its samples lie, and the reader and writer of rare kinds."""
