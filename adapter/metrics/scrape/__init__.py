"""Pulling: whom to scrape, the text formats that exporters and kubelets write, and the scraper that does it."""
