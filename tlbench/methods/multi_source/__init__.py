"""Methods for several sources, which they tell apart; with one source each reduces to a method of a single source."""
