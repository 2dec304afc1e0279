"""One folder an operator: the functional interface."""
