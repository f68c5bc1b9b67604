"""Misbehaving as it is told: scripts of faults, and what carries them out on the wire.

`script` reads them, `plan` counts what is left of one, `exchange` carries it out on one request and
its answer, and `wire` reaches the connection itself.
"""
