"""Figures' data → what plotly.js draws. Colours are the page's, by name: `@leader 0.2` has that opacity."""
