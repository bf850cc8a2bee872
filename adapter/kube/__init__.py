"""The Kubernetes API as a client sees it: credentials, calls, list-and-watch, informers, leases, typed views.

Nothing here knows what a metric is. Objects are decoded to just the fields that somebody reads.
"""
