"""Execution of a plan on worker threads, each with part of the members."""
