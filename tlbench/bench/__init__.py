"""Throughput without accuracy: every trained method on made-up data, beside the limits that the device shows.

What is timed is the engine itself, a case at a time; nothing of it is written a second time here.
"""
