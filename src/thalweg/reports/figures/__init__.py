"""Figures as data: scales, curves and what is written beside them, before anything is drawn."""
