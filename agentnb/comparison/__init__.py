"""One question to several agents, side by side."""
