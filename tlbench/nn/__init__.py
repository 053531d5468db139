"""Networks and what methods do with their features: backbones, heads, gradient reversal, augmentation, distances."""
