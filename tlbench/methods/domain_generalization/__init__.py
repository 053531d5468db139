"""Domain generalisation: several labelled sources, told apart, and nothing of the target; the baseline is `source_only`."""
