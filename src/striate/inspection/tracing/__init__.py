"""Running a network on tensors without numbers, and what is written down of the run."""
