"""From records to numbers: intervals, choices, ranks, the verdict. Pure functions; no torch, no files."""
