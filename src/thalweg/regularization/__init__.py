"""Modifiers around a rule: weight decay, gradient clipping, masks, cautious updates, weight averages."""
