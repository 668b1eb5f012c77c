"""Losses, metrics, data, models, training and evaluation on the released splits."""
