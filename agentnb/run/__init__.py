"""One run: its request, its execution with retries and reconnects, and its end."""
