"""Steps that cost only the encoder time: refinement, the search for a target, automatic realism."""
