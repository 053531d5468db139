"""What a case trains on and is scored on: sample storage, splits, batches and network inputs."""
