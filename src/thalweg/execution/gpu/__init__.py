"""The compiled pass on a GPU: the traced program as one Triton kernel, every row in one launch.

It takes the same arguments as the pass on the CPU. Triton comes with torch's Linux builds for GPUs; nothing here
imports it before a step is prepared.
"""
