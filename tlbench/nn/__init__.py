"""Networks and the algebra on their features: backbones, heads, gradient reversal, distances between batches."""
