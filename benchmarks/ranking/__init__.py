"""Ranks, their differentiable surrogates and fast exact sorting: what losses and metrics share, but neither of them."""
