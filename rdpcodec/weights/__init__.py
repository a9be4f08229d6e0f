"""The weights that ship with the package: found, verified, read. Writing them is training's."""
