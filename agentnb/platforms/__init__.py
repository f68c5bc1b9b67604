"""The remote systems that agentnb supports, one package each.

`agentnb.platforms.registry` finds them by name; `agentnb.platforms.base` is the protocol
that each implements.  Nothing is imported here: a session pays only for the platforms it uses.
"""
