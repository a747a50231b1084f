"""Rules that see one element at a time: its gradient, parameter and states, and row values."""
