"""Speed and memory beside other libraries: `make bench`, or `make bench OP=training` for one topic."""
