"""A model's name -> a verified directory on this node."""
