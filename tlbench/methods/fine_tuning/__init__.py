"""Methods that train on the source first, then on the labelled target samples."""
