"""Methods that learn features from which an adversary cannot tell the domains."""
