"""What others need of a release: its proof, its other formats, its reported errors; no label is decided here."""
