"""What an .rdpc file is known by, for all who meet one without parsing it."""

SIGNATURE = b"RDP"  # its first bytes
EXTENSION = ".rdpc"
MIME_TYPE = "image/x-rdpc"
PILLOW_FORMAT = "RDPC"  # what our plugin for Pillow calls it
