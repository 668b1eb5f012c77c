"""Scoring a checkpoint on a dataset, and the report of it; the metrics themselves are defined elsewhere."""
