"""Networks with an output for each position (token, pixel) of a sample."""
