"""Methods for targets with samples of classes that no source has: they can predict "unknown"."""
