"""Agents that stream server-sent events in a dialect that is not known beforehand."""

from agentnb.platforms.generic.decoder import GenericDecoder

__all__ = ["GenericDecoder"]
