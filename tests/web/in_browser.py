"""A page for the tests, and how long they wait for it."""

from __future__ import annotations

PATIENCE = 300_000  # milliseconds; machines may be busy


PAGE = """<!doctype html><title>page</title><link rel="icon" href="data:,">
<script type="module" src="rdpcodec.js"></script>
<img id="image" data-rdpc="photo.rdpc" alt="a cup">
<rdpc-image id="element" src="photo.rdpc" realism="1" alt="a cup"></rdpc-image>"""
