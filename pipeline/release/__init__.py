"""The release as a folder that stands alone: its files, its taxonomy, its archive; no label is decided here."""
