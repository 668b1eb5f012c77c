"""The release as a folder that stands alone: its files, archive, proof and other formats; no label is decided here."""
