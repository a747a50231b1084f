"""What is found out of a model before it is trained, and how it is then trained."""
