"""What keeps parameters small: penalties added to the gradient, and decay beside it."""
