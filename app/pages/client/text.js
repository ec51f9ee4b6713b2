/** Joins the pieces of a turn: some agents send words, some send tokens that bring their own spaces. */

const CLOSING = /^[,.;:!?…)\]}»”’'%‰°،؛؟।、。，．！？；：）】」』〉》〕｝・ーฯๆ\p{M}]/u;
const OPENING = /[([{«“‘„¿¡「『（【《〈〔｛'’$€£¥#@\\]$/u;
// Scripts that are written without spaces between words.
const UNSPACED = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Bopomofo}\\u3000-\\u303f\\uff00-\\uffef';
const SOUTH_EAST = '\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}\\p{Script=Tibetan}';
const ENDS_UNSPACED = new RegExp(`[${UNSPACED}]\\p{M}*$`, 'u');
const STARTS_UNSPACED = new RegExp(`^[${UNSPACED}]`, 'u');
const ENDS_IN_ANY = new RegExp(`[${UNSPACED}${SOUTH_EAST}]\\p{M}*$`, 'u');
const STARTS_IN_ANY = new RegExp(`^[${UNSPACED}${SOUTH_EAST}]`, 'u');
const SENTENCE_END = /[.!?…][)\]»”’"']*$/u;
const DOMAIN = /^(?:com|org|net|edu|gov|info|html?|pdf|js|py|app|dev|io|de|co|ai|uk|fr|nl|ch|eu|ru|cn|jp|tv)(?:[/.:?#,;]|$)/;
const TAIL = 200; // characters that are looked at: enough for an address

/** Tell whether a space belongs between `tail` (the end of the text) and `piece`. */
function gap(tail, piece, spaced, quoted) {
  if (!tail || !piece || /\s$/u.test(tail) || /^\s/u.test(piece)) return false;
  if (/^\p{M}/u.test(piece) || (ENDS_IN_ANY.test(tail) && STARTS_IN_ANY.test(piece))) return false;
  if (ENDS_UNSPACED.test(tail) || STARTS_UNSPACED.test(piece)) return false;
  const word = /\S*$/u.exec(tail)[0];
  const address = /@|:\/\/|^www\./.test(word);
  if (SENTENCE_END.test(tail) && (spaced || /\p{L}/u.test(piece[0]))) {
    if (!/^["“‘«¿¡(]?\p{L}/u.test(piece)) return false;
    if (address && !/^\p{Lu}.*\s/u.test(piece)) return false;
    if (/(?:^|[^\p{L}])\p{L}\.$/u.test(word) && /^\p{L}(?:\.|$|\P{L})/u.test(piece)) return false; // U.S.
    if (/\.$/.test(word) && /[\p{L}\p{N}]\.$/u.test(word) && DOMAIN.test(piece)) return false; // example.com
    if (!spaced) return true;
    return !/^["“‘«¿¡(]?\p{Ll}/u.test(piece) || /\S\s+\S/u.test(piece);
  }
  if (spaced) return false;
  if (piece[0] === '"') return !quoted;
  if (tail.at(-1) === '"') return !quoted;
  if (address && /[./@:=&?#_~-]$/.test(word) && !/\s/.test(piece)) return false;
  if (/\d[.,:]$/.test(word) && /^\d/.test(piece)) return false; // 3.5, 1,000, 12:30
  if (/[\p{L}\p{N}][-‑/]$/u.test(word) && /^[\p{L}\p{N}]/u.test(piece)) return false; // A-1001
  if (/[\p{L}\p{N}]$/u.test(word) && /^[-‑/][\p{L}\p{N}]/u.test(piece)) return false;
  if (/^'\p{L}{3,}/u.test(piece) && !/^'(?:all|ave)/.test(piece)) return true; // an opening quote
  return !CLOSING.test(piece) && !OPENING.test(tail);
}

const SPACED = /^\s|\s$/;

/** The text of a turn that is growing: each piece is looked at once, or twice if spaces come late. */
export class Joiner {
  text = '';
  #pieces = [];
  #tail = '';
  #spaced = false;
  #quotes = 0;

  add(piece) {
    this.#pieces.push(piece);
    if (!this.#spaced && SPACED.test(piece)) {
      this.#spaced = true;
      this.text = this.#tail = '';
      this.#quotes = 0;
      for (const each of this.#pieces) this.#append(each);
      return this.text;
    }
    this.#append(piece);
    return this.text;
  }

  /** What the text would be with `piece`, which may still change. */
  peek(piece) {
    const apart = gap(this.#tail, piece, this.#spaced || SPACED.test(piece), this.#quotes % 2 === 1);
    return this.text + (apart ? ' ' : '') + piece;
  }

  #append(piece) {
    const added = (gap(this.#tail, piece, this.#spaced, this.#quotes % 2 === 1) ? ' ' : '') + piece;
    this.text += added;
    this.#tail = (this.#tail + added).slice(-TAIL);
    this.#quotes += piece.split('"').length - 1;
  }
}
