"""Secrets that this process knows, and their removal from events, texts and logs."""
