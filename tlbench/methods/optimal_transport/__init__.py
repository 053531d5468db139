"""Methods that carry samples or labels from the source to the target at the least cost."""
