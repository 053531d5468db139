"""One network, several heads."""
