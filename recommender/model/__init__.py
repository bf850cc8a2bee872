"""What is known of every container: histograms, daily peaks, and which container feeds which row. Pure.

How samples get here is `input`'s business; what follows from them is `estimate`'s.
"""
