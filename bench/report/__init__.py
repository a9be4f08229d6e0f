"""What is made of stored figures for readers: the page, figures, the gate, published results."""
