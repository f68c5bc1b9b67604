"""Many prompts, one run for each: what `Agent.map` and `Agent.amap` are made of.

The caller's thread (``job``) takes rows from the input (``items``, ``prompts``) and offers them,
some ahead, to the event loop (``feed``).  There the ``engine`` asks so many at once as the ``gate``
lets in, at a place: this process (``runner``) or a cluster (``spread``).  What comes of them goes
into the ``outcome`` and the ``checkpoint``, and is ``joined`` to the input.
"""
