"""What costs only the encoder: refinement, the search for a target, realism by image."""
