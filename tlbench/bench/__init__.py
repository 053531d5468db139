"""Throughput without accuracy: every deep method on synthetic data, beside the limits measured on the device.

The engine itself is timed, one case at a time.
"""
