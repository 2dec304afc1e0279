"""Modules: they hold parameters and call the operators."""
