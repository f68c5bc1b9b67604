"""The remote systems that agentnb can speak to, one package each.

`agentnb.platforms.registry` finds them by name; `agentnb.platforms.base` is what each must answer.
Nothing is imported here, so that a session pays only for the platforms it uses.
"""
