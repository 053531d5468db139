"""Rules that look at no sample: the references that other rules must beat."""
