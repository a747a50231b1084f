"""Statistics on records: intervals, selection, ranking, the verdict. Pure functions; no torch, no file access."""
