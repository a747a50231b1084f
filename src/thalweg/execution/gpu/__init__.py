"""The compiled pass on a GPU: the traced program as one Triton kernel, every row in one launch.

It takes its arguments as the pass on the CPU does. Triton comes with torch wherever that has a GPU on Linux; nothing
here imports it before a step is made ready.
"""
