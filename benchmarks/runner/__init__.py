"""What times the topics: rounds, the gate of tests, the table, the record."""
