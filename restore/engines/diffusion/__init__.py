"""The diffusion engines: the only package that imports torch."""
