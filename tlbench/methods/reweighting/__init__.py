"""Source rows count as much as they resemble the target."""
