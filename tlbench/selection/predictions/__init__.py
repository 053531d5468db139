"""Rules of the predictions on unlabelled target samples."""
