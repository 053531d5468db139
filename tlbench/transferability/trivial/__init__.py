"""What a score has to beat: numbers that look at no target sample."""
