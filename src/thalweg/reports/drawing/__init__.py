"""Converts figure data to plotly.js figures. Colours are named in the page's CSS: `@leader 0.2` has opacity 0.2."""
