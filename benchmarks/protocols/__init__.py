"""Published benchmark protocols for predictions in files; no network is run here, see `evaluation` for checkpoints."""
