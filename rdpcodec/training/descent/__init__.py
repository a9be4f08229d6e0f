"""How weights follow gradients: optimisers, schedule and average."""
