"""What others do, written as they would write it."""
