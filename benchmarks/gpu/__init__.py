"""What the kernels for GPUs cost on one: `python -m benchmarks.gpu`."""
