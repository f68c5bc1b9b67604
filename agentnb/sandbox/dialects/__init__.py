"""The platforms' APIs, each written from its API page.

Independent of the clients under ``agentnb.platforms``, so that the contract suite finds where one
of them misreads a page.
"""
