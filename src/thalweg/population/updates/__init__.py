"""The update of all members at once, and what they are."""
