import { expect } from 'chai';
import { ChannelTable, type Opening } from '../../lib/ssh/channel-table.js';
import type { Channel, ChannelOwner, ChannelPeer } from '../../lib/ssh/channel.js';

/** A table, and what happened on it. */
function create() {
  const events: string[] = [];
  const asked: string[] = [];
  const table = new ChannelTable();
  const note = (event: string) => void events.push(event);
  const handlers = table.handlers(note);
  const messages = {
    directTcpip: (id: number, window: number, packet: number, { dstIP, dstPort }: Record<string, unknown>) =>
      void asked.push(`${id} ${window} ${packet} ${String(dstIP)} ${String(dstPort)}`),
  };
  const owner = { messages } as unknown as ChannelOwner;
  const channel = (name: string): Channel =>
    ({
      received: (data: Buffer) => note(`${name} data ${data.toString()}`),
      receivedRoom: (bytes: number) => note(`${name} room ${bytes}`),
      receivedEnd: () => note(`${name} eof`),
      receivedClose: () => note(`${name} close`),
      receivedRequest: () => note(`${name} request`),
      lost: () => note(`${name} lost`),
    }) as unknown as Channel;
  const open = (name: string) => {
    const opening: Opening = {
      confirmed: ({ id, windowBytes, packetBytes }: ChannelPeer) => {
        note(`${name} is ${id} ${windowBytes} ${packetBytes}`);
        return channel(name);
      },
      refused: (description, reason) => note(`${name} refused ${String(reason)} ${description}`),
      lost: () => note(`${name} lost while opening`),
    };
    table.open('10.0.0.1', 80, opening, owner);
  };
  const confirm = (recipient: number, packetSize = 32768) =>
    handlers.CHANNEL_OPEN_CONFIRMATION(undefined, {
      recipient,
      sender: recipient + 40,
      window: 9,
      packetSize,
    });
  return { events, asked, table, handlers, open, confirm };
}

describe('ChannelTable', () => {
  it('asks for channels under numbers of their own, with a window of 2 MiB and packets of 32 KiB', () => {
    const { asked, open } = create();
    open('a');
    open('b');
    expect(asked).to.deep.equal(['0 2097152 32768 10.0.0.1 80', '1 2097152 32768 10.0.0.1 80']);
  });

  it('hands each channel what arrives for it', () => {
    const { events, handlers, open, confirm } = create();
    open('a');
    open('b');
    confirm(1);
    confirm(0);
    handlers.CHANNEL_DATA(undefined, 1, Buffer.from('x'));
    handlers.CHANNEL_WINDOW_ADJUST(undefined, 0, 5);
    handlers.CHANNEL_REQUEST(undefined, 0, 'keepalive@openssh.com', true);
    handlers.CHANNEL_REQUEST(undefined, 0, 'exit-status', false);
    handlers.CHANNEL_EOF(undefined, 1);
    handlers.CHANNEL_CLOSE(undefined, 1);
    expect(events).to.deep.equal([
      'b is 41 9 32768',
      'a is 40 9 32768',
      'b data x',
      'a room 5',
      'a request',
      'b eof',
      'b close',
    ]);
  });

  it('tells of a refusal, with its reason or, where the answer was CLOSE, without', () => {
    const { events, handlers, open } = create();
    open('a');
    open('b');
    handlers.CHANNEL_OPEN_FAILURE(undefined, 0, 2, 'Connection refused');
    handlers.CHANNEL_CLOSE(undefined, 1);
    expect(events).to.deep.equal([
      'a refused 2 Connection refused',
      'b refused undefined it was closed before it was open',
    ]);
  });

  it('tells of a refusal once, whatever the peer says afterwards, and when the connection is gone', () => {
    const { events, table, handlers, open, confirm } = create();
    open('a');
    open('b');
    handlers.CHANNEL_OPEN_FAILURE(undefined, 0, 2, 'Connection refused');
    handlers.CHANNEL_CLOSE(undefined, 1);
    events.length = 0;
    for (const id of [0, 1]) {
      handlers.CHANNEL_OPEN_FAILURE(undefined, id, 2, 'Connection refused');
      handlers.CHANNEL_CLOSE(undefined, id);
      confirm(id);
    }
    table.loseAll();
    expect(events).to.deep.equal([]);
  });

  it('asks for no channel under the number of the one before, which the peer may still speak of', () => {
    const { events, asked, handlers, open, confirm } = create();
    open('a');
    confirm(0);
    handlers.CHANNEL_CLOSE(undefined, 0);
    open('b');
    expect(asked[1]).to.match(/^1 /);
    events.length = 0;
    confirm(0);
    expect(events).to.deep.equal([]);
  });

  it('ignores what arrives for no channel, for one that is not open yet, and for one that is over', () => {
    const { events, handlers, open, confirm } = create();
    const speakOf = (id: number) => {
      handlers.CHANNEL_DATA(undefined, id, Buffer.from('x'));
      handlers.CHANNEL_EXTENDED_DATA(undefined, id);
      handlers.CHANNEL_WINDOW_ADJUST(undefined, id, 1);
      handlers.CHANNEL_EOF(undefined, id);
      handlers.CHANNEL_REQUEST(undefined, id, 'x', true);
    };
    open('a');
    speakOf(0);
    speakOf(17);
    confirm(17);
    handlers.CHANNEL_OPEN_FAILURE(undefined, 17, 1, '');
    handlers.CHANNEL_CLOSE(undefined, 17);
    confirm(0);
    handlers.CHANNEL_CLOSE(undefined, 0);
    events.length = 0;
    speakOf(0);
    confirm(0);
    handlers.CHANNEL_CLOSE(undefined, 0);
    expect(events).to.deep.equal([]);
  });

  it('keeps an open channel that is confirmed or refused once more', () => {
    const { events, table, handlers, open, confirm } = create();
    open('a');
    confirm(0);
    confirm(0);
    handlers.CHANNEL_OPEN_FAILURE(undefined, 0, 1, '');
    table.loseAll();
    expect(events).to.deep.equal(['a is 40 9 32768', 'a lost']);
  });

  it('takes packets of no useful size, and extended data, for a violation of the protocol', () => {
    const { events, handlers, open, confirm } = create();
    open('a');
    open('b');
    confirm(0, 1023);
    confirm(1, 1024);
    handlers.CHANNEL_EXTENDED_DATA(undefined, 1);
    expect(events).to.deep.equal([
      'takes no packets of a useful size',
      'b is 41 9 1024',
      'sent extended data on a forwarded channel',
    ]);
  });

  it('tells those that are open and those that are opening, once, that the connection is gone', () => {
    const { events, table, handlers, open, confirm } = create();
    for (const name of ['a', 'b', 'c']) open(name);
    confirm(0);
    confirm(1);
    handlers.CHANNEL_CLOSE(undefined, 1);
    events.length = 0;
    table.loseAll();
    table.loseAll();
    expect(events).to.have.members(['a lost', 'c lost while opening']).and.to.have.length(2);
  });
});
