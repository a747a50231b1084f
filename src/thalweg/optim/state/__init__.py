"""What an optimizer keeps of each parameter: made, loaded, checked."""
