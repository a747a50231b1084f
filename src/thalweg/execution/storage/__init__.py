"""Storage formats of parameters and states, and rounding to them."""
