"""Who asks for what, the fewest queries that answer it, and one snapshot of values with their age.

Demand: `demand`, `declared`, `follow` (HPAs), `groups`. Plan: `offers`, `catalogue`, `plan`, `schedule`. Values:
`collector`, `evaluate`, `embedded` (the source that needs no Prometheus), `snapshot`; which of them count: `presence`,
`transition`, `unison`, `doubt`, `judge`. Answers: `answers` for custom and external metrics, `usage` for
metrics.k8s.io, `explain` and `forecast` for why. What decides is pure (pyproject.toml lists it); the collector runs the
queries on a schedule. Nothing here speaks HTTP to clients.
"""
