"""Multi-task methods: one backbone, with a head for each task."""
