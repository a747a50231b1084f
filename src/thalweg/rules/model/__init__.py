"""Rules that evaluate the model again: they see the loss and its gradients as a function of the parameters."""
