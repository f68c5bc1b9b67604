"""What a run has brought so far: its events with their times, and all that can be read of them."""
