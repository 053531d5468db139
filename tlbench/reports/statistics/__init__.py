"""The statistics of the tables: intervals, moderated t-tests, average ranks, ties, and planning."""
