"""The source's fitted weights are where the target's start from."""
