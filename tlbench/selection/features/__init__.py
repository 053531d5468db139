"""Rules of the features of unlabelled target samples."""
