"""Methods that learn from class names alone, and read no sample."""
