"""Reference learners without transfer and without a network."""
