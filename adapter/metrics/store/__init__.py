"""The embedded store: the last minutes of every series, and the PromQL shapes that it evaluates over them. Pure.

How samples get here is `scrape`'s and `otlp`'s business.
"""
