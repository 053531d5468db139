"""Scores of a pre-trained model from what it makes of labelled target samples; all of them read target labels."""
