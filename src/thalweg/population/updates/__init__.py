"""The vectorized update of all members, and their definition."""
