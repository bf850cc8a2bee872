// Only marks the module's root: the requirements are those of the test bed's programs (see generate.py, -modfile).
module streamgate.dev/tests/hpa/golden/oracle

go 1.26.0
