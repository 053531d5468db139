"""Methods in which the source's fitted weights are the prior or the starting point of the target's."""
