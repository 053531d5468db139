"""Parameter-efficient fine-tuning: after the source, a small number of parameters learns from the labelled target samples."""
