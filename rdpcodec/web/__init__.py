"""A decoder for browsers, in JavaScript modules, and a folder of everything a site needs to show .rdpc files.

`rdpcodec.js` is what pages load; `decoder/` reads files, in a worker; `index.html` is a page to try it. The
Python here only puts such a folder together: the modules, the weights in parts, and ONNX Runtime's own files.
"""
