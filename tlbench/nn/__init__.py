"""Networks and the algebra on their features: trunks, heads, gradient reversal, distances between batches."""
