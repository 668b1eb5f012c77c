"""Which of several scored models is better and how certain that is; but not the scoring of a model (`evaluation`)."""
