"""Who asks for what, the fewest queries that answer it, and one snapshot of values with their age.

The planner and the snapshot are pure; the collector runs the queries on a schedule. Nothing here speaks HTTP to
clients.
"""
