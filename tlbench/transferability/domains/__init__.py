"""Distances between a source and a target, negated; they read no label of the target, but for otdd and labeled_accuracy."""
