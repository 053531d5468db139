"""Rows or labels are carried from the source to the target at the least cost."""
