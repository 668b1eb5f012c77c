"""The domain: categories, taxonomy, class graph, labels, verdicts. Pure; no network, no torch."""
