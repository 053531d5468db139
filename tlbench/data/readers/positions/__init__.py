"""Readers of samples with a label for each position: words of a sentence, pixels of an image."""
