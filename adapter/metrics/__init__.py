"""What a metric is and where it comes from: samples, PromQL, and the sources that hold them.

`sample` and `source` are the words of all; `prometheus` asks a server, `scrape` pulls, `otlp` is pushed to, `store`
keeps and evaluates; `promql` reads and writes queries.
Nothing here knows Kubernetes objects or API servers: targets to scrape come in as values.
"""
