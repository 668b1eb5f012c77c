"""How good verdicts are, measured on the verdicts alone: agreement, precision, pace; no file is read here."""
