"""The annotators' review of doubtful labels, but not the format of verdict files (hgld.hierarchy.curation)."""
