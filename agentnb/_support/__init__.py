"""Small parts that every layer uses."""
