"""The stages that build the dataset, one module each, and what they share."""
