"""Decoder of streams in any dialect, and helpers for platforms that answer in several forms."""
