"""What holds for all tests."""

import asyncio

# Without this, pytest-asyncio asks Python 3.11 for "the" loop where none is, which makes one that nobody closes.
asyncio.set_event_loop(None)
