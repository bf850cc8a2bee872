"""`streamgate-doctor`: looks at a cluster through its API server, with the caller's own rights, and says what is wrong.

`gather` reads, once and within bounds; what it found is a `Snapshot`, over which the `checks` are pure functions that
return findings, each with the next command to type. Nothing here writes anything but access reviews.
"""
