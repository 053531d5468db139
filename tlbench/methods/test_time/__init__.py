"""Adaptation on the stream of test rows, after the source is gone."""
