"""Source first, then the few labelled target rows."""
