"""Optimizer steps: composed, traced, evaluated for row values, and found by name."""
