"""The options of a comparison and of a workload, each declared once with its range."""
