"""Settles how these tests start event loops."""

import asyncio

# pytest-asyncio asks for the current loop before it sets its own. Where nobody set one yet (a plain test came first),
# asyncio makes a new one on that occasion, which nobody closes: a ResourceWarning, and so a failure, in a later test.
asyncio.set_event_loop(None)
