"""Inputs that no window reads, and networks that do not run."""
