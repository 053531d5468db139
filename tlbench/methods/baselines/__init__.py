"""Baselines: training on the labelled source samples, on the labelled target samples, or on both."""
