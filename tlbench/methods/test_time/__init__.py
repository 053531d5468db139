"""Test-time adaptation: methods that learn on the stream of test samples, without the source."""
