"""Losses, metrics, models, training and evaluation in PyTorch; nothing here builds or downloads the dataset."""
