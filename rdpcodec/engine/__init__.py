"""The networks behind one interface (`rdpcodec.engine.interface.Engine`) with NumPy arrays in and out."""
