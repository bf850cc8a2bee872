"""Load runs by Locust that answer questions: how fast and how exactly an HPA follows a load, at what cost and errors.

`scenarios` says what load there is at a time, `locustfile` sends it from a process of its own, `watching` looks at what
the HPA makes of it in a `world` (this machine, or a cluster), `record` keeps it. `measures`, `parts`, `intervals` and
`verdicts` compute what a record says, `reach` what an HPA could have made of its load, and are pure; `page` and `plots`
show it.
`side_by_side` runs one scenario for several adapters at once, each namespace's requests led to its own by `router`.
"""
