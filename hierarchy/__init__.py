"""The domain, pure: categories, taxonomy, class graph, names, evidence, labels and verdicts; no network, no torch."""
