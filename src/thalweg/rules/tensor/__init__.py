"""Rules that call functions of whole matrices."""
