"""Renders records and analysis as tables and one HTML page. Figures are plain data until rendered. No torch."""
