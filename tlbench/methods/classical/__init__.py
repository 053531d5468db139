"""Learners without transfer and without a network, for reference."""
