"""The page of operators: what is run, what is asked of it, and how it is written down."""
