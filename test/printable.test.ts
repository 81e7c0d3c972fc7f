import { expect } from 'chai';
import { printable, spelledOut } from '../lib/printable.js';

describe('printable', () => {
  it('keeps text and replaces runs of control, format and separator characters by a space', () => {
    expect(printable('  ein „Satz“\r\n\u0000\u009b\u200b\u2029ende ')).to.equal('ein „Satz“ ende');
  });

  it('cuts what is too long to be read, after what is not shown was left out', () => {
    expect(printable('x'.repeat(201))).to.equal(`${'x'.repeat(200)}…`);
    expect(printable('x'.repeat(200))).to.equal('x'.repeat(200));
    expect(printable('\u001b\nabcd ', 3)).to.equal('abc…');
    expect(printable('\u001b\nabc ', 3)).to.equal('abc');
  });
});

describe('spelledOut', () => {
  it('keeps text, and spells out what acts on a terminal so that a parser of JSON reads it back', () => {
    const text = 'ein „Satz“\r\n\u0000\u009b\u202e\u2029\u{e0041}ende';
    const shown = spelledOut(text);
    expect(shown).to.equal('ein „Satz“\\u000d\\u000a\\u0000\\u009b\\u202e\\u2029\\udb40\\udc41ende');
    expect(JSON.parse(`"${shown}"`)).to.equal(text);
  });
});
