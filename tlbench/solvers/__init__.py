"""The numerical methods behind the shallow methods: kernels, base learners, density ratios, subspaces, optimal transport."""
