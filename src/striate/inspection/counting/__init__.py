"""Multiply-accumulates and parameters."""
