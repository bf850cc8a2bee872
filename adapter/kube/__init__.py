"""The Kubernetes API as a client sees it: credentials, calls, list-and-watch, informers, leases, typed views.

`config` finds the server and who we are, `client` calls, `watch` follows a collection, `informer` and `index` hold it,
`lease` elects a leader, `discovery` and `resources` say what there is; `objects`, `autoscaling` and `reviews` are the
typed views, with just the fields that somebody reads. `fake` is the API in memory, for tests and benches alone.
Nothing here knows what a metric is.
"""
