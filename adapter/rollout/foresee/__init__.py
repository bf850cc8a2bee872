"""A whole release before it is made: the controller's own decisions over a cluster in which everything goes well. Pure.

`world` is that cluster: what was seen, the writes applied, and what Kubernetes' controllers make of them. `walk` lets
`decide` go through it to the end.
"""
