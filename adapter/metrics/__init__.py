"""What a metric is and where it comes from: quantities, selectors, samples, and the sources that hold them.

Nothing here knows Kubernetes objects or API servers: targets to scrape come in as values.
"""
