"""From a traced program to what runs: operators, sources, modules."""
