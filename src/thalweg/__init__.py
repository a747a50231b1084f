"""Which optimizer, at which learning rate, should I use? Exact optimizers, and the laboratory that compares them."""

__version__ = "0.1.0"
