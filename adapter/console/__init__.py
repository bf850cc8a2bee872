"""`streamgate-console`: a read-only web page of what HPAs, releases and recommendations do.

`poll` lists objects through the API server, with the caller's own rights; `hpas`, `releases` and `recommendations` make
views of them, which stand on the `board`; `pages` writes views as HTML, escaped by construction; `access` says who may
look. Nothing here writes to a cluster, and nothing decides: the formula and the judge are those of the other programs.
"""
