"""Parts of `make steady`: who is compared, what disturbs a Deployment, and what its HPA would want at each second."""
