"""The numerical methods behind the shallow methods: kernels, base learners, subspaces, transport plans, source weights."""
