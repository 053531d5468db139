"""The network's own predictions on the target teach it."""
