"""What columns make of a table."""
