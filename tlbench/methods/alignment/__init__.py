"""Methods that make the features of the two domains equal in some statistic."""
