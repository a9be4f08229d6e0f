"""Files and URLs: read as users give them, written whole or not at all."""
