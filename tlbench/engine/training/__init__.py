"""The training loop: phases, steps, optimizer, checkpoints, CUDA graphs, several seeds or devices at once."""
