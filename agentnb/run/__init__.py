"""One run: its request, its stream with retries and reconnects, and its end."""
