"""Features are made alike until a classifier can't tell the domains apart."""
