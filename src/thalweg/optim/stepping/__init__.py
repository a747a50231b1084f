"""One step of an optimizer: values read, gradients gathered, memory checked, passes run."""
