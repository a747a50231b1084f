"""Contestants that run in processes of their own, most of them in an environment of their own (`peers.txt`)."""
