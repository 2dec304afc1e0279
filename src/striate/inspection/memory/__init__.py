"""The memory that a network needs in inference and in training."""
