// Shows .rdpc files, and decodes them for programs. A page needs no more than
//
//   <script type="module" src="rdpcodec.js"></script>
//   <img data-rdpc="photo.rdpc" alt="…">            or, as an element of its own,
//   <rdpc-image src="photo.rdpc" alt="…"></rdpc-image>
//
// The attribute `realism`, 0 to 1, may be changed at any time; without it, the file's own default holds.

import { defineElement, watchImages } from "./elements.js";

export { FormatError, RdpError, UsageError, WeightsError } from "./decoder/errors.js";
export { decode, decodeToPNG, info } from "./requests.js";

defineElement();
watchImages(document);
