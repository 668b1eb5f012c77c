"""One module per form in which a model can be given, and their registry; no scoring and no data."""
