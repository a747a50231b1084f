"""What restrains training beside the rule: decay, clipped gradients, masks, averages of the weights."""
