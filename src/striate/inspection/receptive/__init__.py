"""What the units of a network see of its input."""
