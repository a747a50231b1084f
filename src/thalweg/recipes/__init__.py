"""One whole optimizer step: composed, traced, compiled, and found by name."""
