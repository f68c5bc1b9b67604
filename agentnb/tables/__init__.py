"""Runs, events, tool calls, sessions and usage as pandas DataFrames."""
