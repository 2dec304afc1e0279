"""What all tests share."""

import torch

# Tests fork, and run side by side: more threads would hang the one and slow the other.
torch.set_num_threads(1)
