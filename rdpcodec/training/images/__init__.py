"""What runs learn from: crops of photographs, made graphics, and held-out crops."""
