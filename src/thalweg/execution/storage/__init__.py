"""Forms in which numbers are held in memory, and how they are rounded into them."""
