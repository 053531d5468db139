"""Deep methods that align moments, kernels or norms of the features, batch normalisation, or the style of the inputs."""
