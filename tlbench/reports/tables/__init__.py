"""The tables themselves: scores, negative transfer, subgroups, cost, and their captions."""
