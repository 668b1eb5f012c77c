"""One module per stage of dvc.yaml up to the release (no training), and what puts the outputs of the last run back."""
