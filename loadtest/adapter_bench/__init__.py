"""Parts of `make bench-adapter`: our adapter against prometheus-adapter on the same cluster and the same Prometheus."""
