"""The compiled pass on the CPU: the traced program as one loop over memory, compiled by Numba, on torch's threads."""
