"""What runs learn: the fidelity path, the realism synthesis, and their losses."""
