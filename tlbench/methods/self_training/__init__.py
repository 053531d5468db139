"""Self-training: methods that learn from their own predictions on the target."""
