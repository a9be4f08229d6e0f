"""What readers see of stored figures: the page, drawings, the gate, published results."""
