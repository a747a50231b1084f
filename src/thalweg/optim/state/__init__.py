"""Optimizer state of each parameter: created, loaded, checked."""
