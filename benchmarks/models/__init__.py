"""The retrieval network, its checkpoint file, and reproducible runs; training and scoring are elsewhere."""
