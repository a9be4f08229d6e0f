"""Images that are not photographs: how they are drawn (`classes`) and what they cost (`command`)."""
