"""What is observed while a network trains: validation, best.pt, curves in other tools; nothing here moves a weight."""
