"""What surrounds the training of a case: device, precision, seeds, identity, metrics and throughput."""
