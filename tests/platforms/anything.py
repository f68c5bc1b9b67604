"""What a server may send that should not: any JSON, with any text."""

from __future__ import annotations

from hypothesis import strategies as st

# Half characters too: a server that slices by UTF-16 units sends them as JSON escapes.
TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
