"""Tests for a platform of your own: a contract that every platform keeps, and a decoder fuzzer.

With pytest, one fixture is all that the contract needs::

    import agentnb
    import pytest
    from agentnb.testing import PlatformContract, fuzz_decoder


    class TestContract(PlatformContract):
        @pytest.fixture
        def agent(self):
            return agentnb.agent("acme:echo", base_url=server.url)


    def test_decoder():
        fuzz_decoder(Decoder, Path("recorded.sse").read_bytes())

The agent has to answer any prompt with text; override `PlatformContract.prompt` where it needs a
certain one, and `long_prompt` where it can give an answer that takes seconds.
"""

from __future__ import annotations

from agentnb.testing.contract import PlatformContract
from agentnb.testing.fuzzing import fuzz_decoder, mutated_streams

__all__ = ["PlatformContract", "fuzz_decoder", "mutated_streams"]
