"""What the user sees while a run goes on: the live view and what feeds it.

Import `agentnb.widgets.run` where a widget is really shown; this package itself imports nothing.
"""
