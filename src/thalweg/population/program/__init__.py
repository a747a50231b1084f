"""One member's gradients as a program: the model, traced, mapped over members and made quick."""
