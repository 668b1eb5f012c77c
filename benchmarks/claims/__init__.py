"""The papers' claims measured on two small sets of real images, from training to docs/claims.md; no loss or metric."""
