"""The comparison protocol: grids, seeds, selection, confirmation. Writes records."""
