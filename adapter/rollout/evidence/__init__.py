"""How strongly counts and gauges speak for or against a release: e-values, sequential and anytime-valid.

Every function works on NumPy arrays of any leading shape, so that one release, the simulation's ten thousand and
`calibrate` run the same code. Pure: no clock, no network; what a gate makes of an e-value is the judge's.
"""
