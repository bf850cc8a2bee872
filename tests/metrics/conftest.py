"""Settles how these tests start event loops."""

import asyncio

# pytest-asyncio asks for the current loop before it sets its own. Where nobody has set one (a plain test came first),
# Python 3.11 makes one for it, which nobody closes.
asyncio.set_event_loop(None)
