import { expect } from 'chai';
import { ChannelRoster } from '../../lib/ssh/channel-roster.js';

function create(maxLingering = 2) {
  let changes = 0;
  const freed: string[] = [];
  const roster = new ChannelRoster({ maxLingering, onChange: () => (changes += 1) });
  const enter = (name: string) => {
    const place = roster.enter(() => void freed.push(name));
    return {
      setIdle: (idle: boolean) => roster.setIdle(place, idle),
      abandoned: () => roster.abandoned(place),
      closed: () => roster.closed(place),
    };
  };
  return { roster, freed, enter, changes: () => changes };
}

describe('ChannelRoster', () => {
  it('counts a channel until one side is done with it', () => {
    const { roster, enter } = create();
    const [a, b] = [enter('a'), enter('b')];
    expect(roster.open).to.equal(2);
    a.abandoned();
    expect(roster.open).to.equal(1);
    b.closed();
    expect(roster.open).to.equal(0);
    a.closed();
    expect(roster.open).to.equal(0);
  });

  it('frees a place at once when we are done, as long as few linger', () => {
    const { freed, enter } = create();
    const a = enter('a');
    a.abandoned();
    expect(freed).to.deep.equal(['a']);
    a.closed();
    expect(freed).to.deep.equal(['a']);
  });

  it('frees a place only with the CLOSE of the node once too many linger', () => {
    const { freed, enter } = create(2);
    const [a, b, c] = [enter('a'), enter('b'), enter('c')];
    for (const place of [a, b, c]) place.abandoned();
    expect(freed).to.deep.equal(['a', 'b']);
    c.closed();
    expect(freed).to.deep.equal(['a', 'b', 'c']);
    a.closed();
    const d = enter('d');
    d.abandoned();
    expect(freed).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('frees a place once when the node is done first', () => {
    const { freed, enter } = create();
    const a = enter('a');
    a.closed();
    expect(freed).to.deep.equal(['a']);
  });

  it('bounds what was given up before the node had answered together with what was closed', () => {
    const { roster, freed, enter } = create(1);
    const answered = roster.linger(() => void freed.push('given up'));
    expect(freed).to.deep.equal(['given up']);
    const a = enter('a');
    a.abandoned();
    expect(freed).to.deep.equal(['given up']);
    answered();
    const b = enter('b');
    b.abandoned();
    expect(freed).to.deep.equal(['given up', 'b']);
    a.closed();
    expect(freed).to.deep.equal(['given up', 'b', 'a']);
  });

  it('is quiet when nothing is open, opening, or would be missed', () => {
    const { roster, enter } = create();
    expect(roster.isQuiet).to.equal(true);
    roster.beginOpening();
    expect(roster.isQuiet).to.equal(false);
    const a = enter('a');
    roster.endOpening();
    expect(roster.isQuiet).to.equal(false);
    a.setIdle(true);
    expect(roster.isQuiet).to.equal(true);
    a.setIdle(false);
    expect(roster.isQuiet).to.equal(false);
    a.abandoned();
    expect(roster.isQuiet).to.equal(true);
  });

  it('is empty when nothing is open or opening, idle or not', () => {
    const { roster, enter } = create();
    expect(roster.isEmpty).to.equal(true);
    roster.beginOpening();
    expect(roster.isEmpty).to.equal(false);
    const a = enter('a');
    roster.endOpening();
    a.setIdle(true);
    expect(roster.isEmpty).to.equal(false);
    a.closed();
    expect(roster.isEmpty).to.equal(true);
  });

  it('counts an idle channel once, whatever is said of it how often', () => {
    const { roster, enter } = create();
    const [a, b] = [enter('a'), enter('b')];
    a.setIdle(true);
    a.setIdle(true);
    expect(roster.isQuiet).to.equal(false);
    a.abandoned();
    a.setIdle(true);
    a.closed();
    a.setIdle(false);
    expect(roster.isQuiet).to.equal(false);
    b.setIdle(true);
    expect(roster.isQuiet).to.equal(true);
    expect(roster.open).to.equal(1);
  });

  it('tells of every change', () => {
    const { roster, enter, changes } = create();
    roster.beginOpening();
    const a = enter('a');
    let seen = changes();
    const changed = () => {
      const more = changes() > seen;
      seen = changes();
      return more;
    };
    roster.endOpening();
    expect(changed()).to.equal(true);
    a.setIdle(true);
    expect(changed()).to.equal(true);
    a.abandoned();
    expect(changed()).to.equal(true);
    a.closed();
    expect(changed()).to.equal(true);
  });
});
