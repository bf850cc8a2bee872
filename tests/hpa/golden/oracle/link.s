// An assembly file, even an empty one, lets oracle_test.go declare functions without a body (go:linkname).
