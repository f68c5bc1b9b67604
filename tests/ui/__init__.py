"""Real JupyterLab and Notebook 7 in a real Chromium.

A package of its own, so that the browser ends with these tests: Playwright's synchronous API keeps
an event loop running in the main thread, where the asynchronous tests want to start theirs.
"""
