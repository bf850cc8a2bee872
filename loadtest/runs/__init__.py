"""Load runs by Locust that answer questions: how fast and how exactly an HPA follows a load, at what cost and errors.

`scenarios` says what load there is at a time, `locustfile` sends it from a process of its own, `watching` looks at what
the HPA makes of it in a `world` (this machine, or a cluster), `record` keeps it. `measures`, `parts`, `intervals` and
`verdicts` compute what a record says and are pure; `page` and `plots` show it.
"""
