"""PCA-whitening of embeddings, learnt on other images (Jégou and Chum, ECCV 2012): the usual last step of retrieval."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hgld.foundation.errors import HgldError

ROWS = 1 << 16  # converted to float64 at a time
# Directions with less variance than this, relative to the first, are noise: dividing by it would make them the loudest.
LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) @ projection, then unit length; mean (d,) and projection (d, D), float64."""

    mean: Tensor
    projection: Tensor

    @classmethod
    def learn(cls, vectors: Tensor, dim: int) -> Whitening:
        """From embeddings (n, d): the first `dim` principal directions, each divided by its standard deviation.

        Raises HgldError unless the embeddings vary in that many directions.
        """
        n, width = vectors.shape
        most = min(width, n - 1)
        if not 1 <= dim <= most:
            raise HgldError(
                f"whitening to {dim} numbers: {n:,} train images with embeddings of {width} numbers allow 1 to {most}"
            )
        mean = sum((part.double().sum(0) for part in torch.split(vectors, ROWS)), vectors.new_zeros(width).double()) / n
        covariance = vectors.new_zeros(width, width).double()
        for part in torch.split(vectors, ROWS):
            centred = part.double() - mean
            covariance += centred.T @ centred
        variances, directions = torch.linalg.eigh(covariance / n)
        variances, directions = variances.flip(0)[:dim], directions.flip(1)[:, :dim]
        if not bool(variances[-1] > LEAST_VARIANCE * variances[0]):
            useful = int((variances > LEAST_VARIANCE * variances[0]).sum())
            raise HgldError(
                f"whitening to {dim} numbers: the embeddings of the train images vary in {useful} directions"
            )
        return cls(mean, directions / variances.sqrt())

    def __call__(self, vectors: Tensor) -> Tensor:
        """Embeddings (n, d) -> (n, D) float32, L2-normalised."""
        parts = [(part.double() - self.mean) @ self.projection for part in torch.split(vectors, ROWS)]
        return torch.cat([torch.nn.functional.normalize(part, dim=1).float() for part in parts])
