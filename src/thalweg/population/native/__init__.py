"""A run's steps as native code: the traced graph of one run, lowered to loops and matrix products, compiled by LLVM."""
