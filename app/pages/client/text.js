/** Joins the pieces of a turn to one text. */

/** One text of pieces that may or may not bring their own spaces. */
export function joinPieces(pieces) {
  const spaced = pieces.some((piece) => /^\s|\s$/.test(piece));
  const apart = (text, piece) => (spaced ? /[.!?…]$/.test(text) && /^\p{L}/u.test(piece) : text && !/^[,.;:!?)]/.test(piece));
  return pieces.reduce((text, piece) => text + (apart(text, piece) ? ' ' : '') + piece);
}
