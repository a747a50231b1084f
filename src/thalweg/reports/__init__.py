"""Records and analysis → tables and one HTML page. Figures are data until the last file. No torch."""
