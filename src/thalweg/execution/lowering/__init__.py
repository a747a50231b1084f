"""Lowering of a traced program to torch operators, generated source and compiled modules."""
