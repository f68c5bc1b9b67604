"""Live views of runs, as Jupyter widgets.

This package imports nothing itself; import `agentnb.widgets.run` where a widget is displayed.
"""
