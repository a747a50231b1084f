"""Workload files that `thalweg new` writes: `custom_step.py` is the kind custom-step. Each runs as it is."""
