"""Inspection of a model before training, and the plan of its execution."""
