"""Recordings -> samples: WAV files, and the log-mel spectrograms that are made of them."""
