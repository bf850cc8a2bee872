"""Load, demonstrations and benchmarks: programs to be run by a person or by CI, never imported by the servers."""
