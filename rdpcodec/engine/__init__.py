"""The networks behind one interface (`rdpcodec.tile_codec.Engine`) with NumPy arrays in and out."""
