"""The platforms' APIs, each written against its own API page.

Nothing here knows the clients under ``agentnb.platforms``: where both read a page differently, the
contract suite finds it.
"""
