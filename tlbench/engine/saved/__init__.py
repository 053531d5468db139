"""Fitted methods as files: what a method is after its training, packed as plain tensors and JSON, and restored from them."""
