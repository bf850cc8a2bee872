"""Which errors a guard holds: every fault, whatever it derives from, and no request to end."""

import asyncio


def ends_program(error: BaseException) -> bool:
    """Whether a guard must let `error` through: it is a request to end, not a fault.

    A CancelledError is one only where the task that we are in was cancelled; from a task that a job waited for it is
    a fault like any other.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(ends_program(one) for one in error.exceptions)
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
