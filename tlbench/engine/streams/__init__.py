"""The stream of scored samples at test time: its order, and the methods that adapt on it."""
