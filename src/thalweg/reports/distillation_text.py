"""What is said of a distillation."""
