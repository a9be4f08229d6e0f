"""Images that are no photographs: how they are drawn (`classes`) and what they cost (`measure`)."""
