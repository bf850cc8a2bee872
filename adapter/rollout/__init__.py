"""The rollout controller: gates blue-green and canary promotion on the metrics that the adapter serves.

Decisions are pure (`model`, `decide`, `floor`, `traffic`, the judge); `observe` reads, `act` writes, `loop` repeats.
All state lives in the Kubernetes API, so that every step can be repeated and a restart forgets nothing.
"""
