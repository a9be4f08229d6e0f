"""What a coded file holds, as bytes: docs/format.md specifies all of it."""
