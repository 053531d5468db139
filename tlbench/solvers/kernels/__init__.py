"""Kernels between samples: the Gaussian kernel, its Nystrom features, and the factorised kernel of all samples."""
