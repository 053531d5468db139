"""Weights of source samples: density ratios, kernel mean matching, class shares under label shift, and boosting."""
