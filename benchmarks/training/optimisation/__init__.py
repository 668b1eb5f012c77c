"""How the weights move: optimisers of backbone, head and proxies, their schedules and steps, the average; no loop."""
