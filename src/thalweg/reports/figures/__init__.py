"""Figures as data: scales, curves and labels, independent of the drawing library."""
