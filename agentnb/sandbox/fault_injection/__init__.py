"""Fault injection: scripts of faults, and their execution on real connections.

`script` parses them, `plan` counts the connections left, `injector` applies them to one request and
its response, and `connection` controls the transport below ASGI.
"""
