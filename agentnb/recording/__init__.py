"""The content of a run: its events with their times, and everything that is read from them."""
