"""A training loop of your own with a loss of hgld, on 12 classes in 4 groups that are made on the spot.

python examples/own_training_loop.py
"""

import torch

from hgld.benchmarks.losses import SupHAP
from hgld.benchmarks.metrics import evaluate

torch.manual_seed(0)
fine = torch.arange(240) % 12
labels = torch.stack([fine, fine // 3], dim=1)  # (240, 2), column 0 is the finest level
inputs = torch.randn(12, 32)[fine] + torch.randn(4, 32)[fine // 3] + 1.5 * torch.randn(240, 32)
train, test = slice(0, 120), slice(120, 240)

network = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 16))
optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
loss = SupHAP()
for step in range(41):
    if step % 20 == 0:  # each test item is searched among the others
        scores = evaluate(network(inputs[test]), labels[test], metrics=["H-AP", "R@1_l0"]).mean()
        print(f"step {step:2d}: H-AP {scores['H-AP']:.3f}, R@1 {scores['R@1_l0']:.3f}")
    optimiser.zero_grad()
    loss(network(inputs[train]), labels[train]).backward()
    optimiser.step()
