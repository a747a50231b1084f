"""Training of many runs: vectorized, captured as CUDA graphs, or by the plain loop."""
