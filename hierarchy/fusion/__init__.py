"""From probabilities per kind of evidence to proposals and the released label; evidence is computed elsewhere."""
