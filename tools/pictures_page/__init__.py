"""The page of pictures: what the operators do to a photograph, measured and drawn."""
