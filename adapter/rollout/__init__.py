"""The rollout controller: gates blue-green and canary promotion on the metrics that the adapter serves.

`observe` reads the cluster, `hear` and `values` the metrics; `windows` makes intervals of them, `judge` with `evidence`
a verdict; `decide` with `traffic` and `floor` says what to write, `act` writes it, `tell` and `notify` tell people;
`turns` is one round of one policy, `loop` repeats it for all. `cli` has the verbs; `recording`, `replay`, `calibrate`
are the judge over files, `foresee` is a release before it is made, `neighbours` is what `lint` says of objects beside a
policy. What decides is pure: contracts in pyproject.toml name it.
All state lives in the Kubernetes API, so that every step can be repeated and a restart forgets nothing.
"""
