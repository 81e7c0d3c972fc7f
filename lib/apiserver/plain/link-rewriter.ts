import { Transform, type TransformCallback } from 'node:stream';
import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2';
import { linkEdit, type LinkRules } from './links.js';
import { isLinkAttribute } from './link-attributes.js';

/** Longer than the name of any element or attribute that matters. */
const MAX_NAME_LENGTH = 32;

/** A link that is longer is left as it is. */
const MAX_LINK_LENGTH = 16 * 1024;

/** A piece of an attribute's value with character references undone; `at` is where it stands, unless it is such a reference. */
interface Piece {
  readonly text: string;
  readonly at: number | undefined;
}

/** An attribute that holds a link, while it is being read. */
interface Link {
  /** Where its name ends. */
  readonly from: number;
  readonly pieces: Piece[];
}

const nothing = (): void => undefined;

/**
 * HTML in which links lead through the proxy, see {@link linkEdit}. Every byte that is not part of such a change stays as it is, and
 * nothing is held back but a link that has not been read to its end.
 *
 * Bytes are taken for characters one to one: what matters in HTML is ASCII, in whichever encoding that is based on it.
 */
export class LinkRewriter extends Transform {
  readonly #rules: LinkRules;
  readonly #tokenizer: Tokenizer;
  /** What has been read and may be needed yet, and where it begins. */
  #window = '';
  #windowAt = 0;
  /** How far it has been passed on. */
  #passedTo = 0;
  /** What is to be passed on next. */
  #out = '';
  #element = '';
  #link: Link | undefined;

  constructor(rules: LinkRules) {
    super();
    this.#rules = rules;
    const callbacks: TokenizerCallbacks = {
      onopentagname: (from, to) => (this.#element = this.#name(from, to)),
      onattribname: (from, to) => this.#attribute(from, to),
      onattribdata: (from, to) => this.#link?.pieces.push({ text: this.#read(from, to), at: from }),
      onattribentity: (point) =>
        this.#link?.pieces.push({ text: String.fromCodePoint(point), at: undefined }),
      onattribend: (_quote, to) => this.#attributeEnd(to),
      oncdata: nothing,
      onclosetag: nothing,
      oncomment: nothing,
      ondeclaration: nothing,
      onend: nothing,
      onopentagend: nothing,
      onprocessinginstruction: nothing,
      onselfclosingtag: nothing,
      ontext: nothing,
      ontextentity: nothing,
    };
    this.#tokenizer = new Tokenizer({ xmlMode: false, decodeEntities: true }, callbacks);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    const text = chunk.toString('latin1');
    this.#window += text;
    this.#tokenizer.write(text);
    const end = this.#windowAt + this.#window.length;
    if (this.#link !== undefined && end - this.#link.from > MAX_LINK_LENGTH) this.#link = undefined;
    const settledTo = this.#link?.from ?? end;
    this.#pass(settledTo);
    // A name may be split between two chunks.
    const keptFrom = Math.max(this.#windowAt, settledTo - MAX_NAME_LENGTH);
    this.#window = this.#window.slice(keptFrom - this.#windowAt);
    this.#windowAt = keptFrom;
    callback(null, this.#taken());
  }

  override _flush(callback: TransformCallback): void {
    this.#pass(this.#windowAt + this.#window.length);
    callback(null, this.#taken());
  }

  #attribute(from: number, to: number): void {
    const isLink = isLinkAttribute(this.#element, this.#name(from, to));
    this.#link = isLink ? { from: to, pieces: [] } : undefined;
  }

  #attributeEnd(to: number): void {
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined || link.pieces.length === 0) return;
    const edit = linkEdit(link.pieces.map(({ text }) => text).join(''), this.#rules);
    if (edit === undefined) return;
    const [before = ''] = /^[\t\n\f\r ]*=[\t\n\f\r ]*["']?/.exec(this.#read(link.from, to)) ?? [];
    const valueAt = link.from + before.length;
    const from = placeOf(edit.from, link.pieces, valueAt);
    const until = placeOf(edit.to, link.pieces, valueAt);
    if (from === undefined || until === undefined) return;
    this.#pass(from);
    this.#out += edit.insert.replaceAll('&', '&amp;');
    this.#passedTo = until;
  }

  #pass(to: number): void {
    if (to <= this.#passedTo) return;
    this.#out += this.#read(this.#passedTo, to);
    this.#passedTo = to;
  }

  #taken(): Buffer | undefined {
    const out = this.#out;
    this.#out = '';
    return out === '' ? undefined : Buffer.from(out, 'latin1');
  }

  #name(from: number, to: number): string {
    return from < this.#windowAt ? '' : this.#read(from, to).toLowerCase();
  }

  #read(from: number, to: number): string {
    return this.#window.slice(from - this.#windowAt, to - this.#windowAt);
  }
}

/** Where a character of a value stands; `undefined` when it is one of several character references in a row, which nobody writes. */
function placeOf(offset: number, pieces: readonly Piece[], valueAt: number): number | undefined {
  let before = 0;
  let place: number | undefined = valueAt;
  for (const { text, at } of pieces) {
    place = at ?? place;
    if (offset < before + text.length) return place === undefined ? undefined : place + offset - before;
    before += text.length;
    place = at === undefined ? undefined : at + text.length;
  }
  return place;
}
