"""Which images of a release show the same picture, by perceptual hashes; not which landmarks two splits share."""
