"""Features of the two domains are made alike in some statistic."""
