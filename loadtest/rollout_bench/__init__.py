"""The parts of `make bench-rollouts`: releases on the test bed, and what clients saw of them."""
