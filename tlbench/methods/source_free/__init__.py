"""Methods that adapt to the target without the source: after the training on it they need nothing but the network."""
