"""The one reader and writer of PromQL: text to tree (`read`), looking at a tree (`walk`), tree to text (`write`), and
what may be written into a query's text (`insert`).

The tree is that of the `promql-parser` package. What a query means is decided elsewhere: `adapter.rules` merges
queries, `adapter.metrics.store` evaluates them.
"""
