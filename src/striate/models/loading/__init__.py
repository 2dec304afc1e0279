"""From a file of weights to a network: whose names they are, what goes where, and what pictures they want."""
