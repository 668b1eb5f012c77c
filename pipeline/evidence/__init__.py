"""The evidence for labels, one module per kind, and its measured accuracy, but not its fusion (hierarchy.fusion)."""
