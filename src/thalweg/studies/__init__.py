"""The comparison protocol: grids, seeds, tuning, selection, confirmation. Writes records."""
