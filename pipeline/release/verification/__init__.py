"""The proof of a release folder by itself: checksums, columns, labels, images; nothing is repaired or written."""
