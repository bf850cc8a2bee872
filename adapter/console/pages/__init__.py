"""Views as HTML. Pure: what a page shows goes in as values, and comes out as text.

`markup` is the one place that writes `<`: whatever else is text, and escaped there.
"""
