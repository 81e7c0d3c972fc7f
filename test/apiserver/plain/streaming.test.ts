import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { gate, read, rejection, turns, until } from '../../support/dialer.js';
import { patternSha256, patternStream } from '../../support/pattern.js';
import { mirror, prefixOf, ProxyStage, seenBy } from './stage.js';

const MIB = 2 ** 20;

async function sha256(stream: NodeJS.ReadableStream): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

describe('apiserver: the bodies of a plain request', () => {
  let stage: ProxyStage;
  beforeEach(async () => (stage = await ProxyStage.start()));
  afterEach(() => stage.end());

  /** Every request is over, and nothing is open at the node. */
  const nothingLeft = async () => {
    await Promise.all(stage.outcomes);
    for (const { agent } of stage.backends.values())
      await until('no socket in use', () => Object.keys(agent.sockets).length === 0);
  };

  it('of any length arrive whole, up and down at once', async () => {
    await stage.http('p', (incoming, response) => {
      response.writeHead(200);
      incoming.pipe(response);
    });
    const outgoing = await stage.request(`${prefixOf('p')}/`, { method: 'PUT' });
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    const sent = pipeline(patternStream(8 * MIB), outgoing);
    const [response] = await answered;
    expect(await sha256(response)).to.equal(patternSha256(8 * MIB));
    await sent;
    await nothingLeft();
  });

  it('are not read faster than the client reads them', async () => {
    let written = 0;
    await stage.http('p', (_incoming, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = (): void => {
        do written += chunk.length;
        while (response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    const response = await stage.begin(`${prefixOf('p')}/`);
    const settled = async (): Promise<number> => {
      for (let before = -1; before !== written;) {
        before = written;
        await turns(100);
      }
      return written;
    };
    const held = await settled();
    expect(held).to.be.lessThan(32 * MIB);
    let taken = 0;
    response.on('data', (chunk: Buffer) => {
      taken += chunk.length;
      if (taken > 16 * MIB) response.pause();
    });
    await once(response, 'pause');
    expect(await settled()).to.be.greaterThan(held);
    response.destroy();
    await nothingLeft();
  });

  it('are not sent faster than the backend reads them', async () => {
    const asked = gate();
    await stage.http('p', () => asked.open());
    const outgoing = await stage.request(`${prefixOf('p')}/`, { method: 'PUT' });
    outgoing.on('error', () => undefined);
    const chunk = Buffer.alloc(64 * 1024);
    let written = 0;
    const more = (): void => {
      do written += chunk.length;
      while (outgoing.write(chunk));
    };
    outgoing.on('drain', more);
    more();
    await asked.opened;
    for (let before = -1; before !== written;) {
      before = written;
      await turns(100);
    }
    expect(written).to.be.lessThan(32 * MIB);
    outgoing.destroy();
  });

  it('that the client gives up are given up at the backend: no answer yet', async () => {
    const server = await stage.http('p', () => undefined);
    const outgoing = await stage.request(`${prefixOf('p')}/`);
    outgoing.on('error', () => undefined).end();
    const [incoming] = (await once(server, 'request')) as [IncomingMessage];
    const gone = once(incoming.socket, 'close');
    outgoing.destroy();
    await gone;
    await nothingLeft();
    expect(await Promise.all(stage.outcomes)).to.deep.equal([undefined]);
  });

  it('that the client gives up are given up at the backend: in the midst of the answer', async () => {
    const server = await stage.http('p', (_incoming, response) => void response.write('x'));
    const asked = once(server, 'request') as Promise<[IncomingMessage]>;
    const response = await stage.begin(`${prefixOf('p')}/`);
    const [incoming] = await asked;
    const gone = once(incoming.socket, 'close');
    response.destroy();
    await gone;
    await nothingLeft();
  });

  it('that the client gives up are given up at the backend: in the midst of its own', async () => {
    const begun = gate();
    const server = await stage.http('p', (incoming) => {
      incoming.on('error', () => undefined).once('data', begun.open);
    });
    const outgoing = await stage.request(`${prefixOf('p')}/`, { method: 'PUT' });
    outgoing.on('error', () => undefined).write('x');
    const [incoming] = (await once(server, 'request')) as [IncomingMessage];
    const gone = new Promise((resolve) => incoming.socket.once('close', resolve));
    await begun.opened;
    outgoing.destroy();
    await gone;
    expect(incoming.complete).to.equal(false);
    await nothingLeft();
  });

  it('that the client gives up are given up while the dial is under way', async () => {
    const waiting = gate();
    await stage.http('p', mirror);
    const node = stage.nodes[0];
    node?.faults.confirmLate(waiting.opened);
    const outgoing = await stage.request(`${prefixOf('p')}/`);
    outgoing.on('error', () => undefined).end();
    await node?.until(({ pendingOpens }) => pendingOpens === 1);
    outgoing.destroy();
    await nothingLeft();
    waiting.open();
    await node?.until(({ channels, pendingOpens }) => channels === 0 && pendingOpens === 0);
  });

  const framings: Record<string, (response: ServerResponse) => void> = {
    'a length': (response) => response.setHeader('Content-Length', 1000),
    chunks: () => undefined,
    'the end of the connection': (response) => {
      response.useChunkedEncodingByDefault = false;
    },
  };
  for (const [framing, frame] of Object.entries(framings))
    for (const type of ['text/plain', 'text/html'])
      for (const front of ['http', 'https'] as const)
        it(`that break off at the backend break off at the client, and never end cleanly: ${type} delimited by ${framing}, over ${front}`, async () => {
          await stage.http('p', (_incoming, response) => {
            response.setHeader('Content-Type', type);
            frame(response);
            response.write('the first part', () => {
              // sshd does not tell a reset from an end.
              if (response.useChunkedEncodingByDefault) response.socket?.resetAndDestroy();
            });
          });
          const response = await stage.begin(`${prefixOf('p')}/`, { front });
          if (framing === 'the end of the connection') {
            await read(response, 5);
            stage.nodes[0]?.cut('fin');
          }
          const failure = await rejection<NodeJS.ErrnoException>(text(response));
          expect(failure).to.have.property('code', 'ECONNRESET');
          await nothingLeft();
        });

  it('that break off with the tunnel break off at the client', async () => {
    await stage.http('p', (_incoming, response) => void response.write('the first part'));
    const response = await stage.begin(`${prefixOf('p')}/`);
    await read(response, 5);
    const failed = rejection<NodeJS.ErrnoException>(text(response));
    stage.nodes[0]?.cut('rst');
    expect(await failed).to.have.property('code', 'ECONNRESET');
    await nothingLeft();
  });

  it('that break off are no clean end for a client of HTTP/1.0 either', async () => {
    await stage.http('p', (_incoming, response) => {
      response.write('the first part', () => response.socket?.resetAndDestroy());
    });
    const socket = await stage.connect();
    let ended = false;
    socket.on('end', () => (ended = true)).resume();
    const failed = once(socket, 'error') as unknown as Promise<[NodeJS.ErrnoException]>;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(`GET ${prefixOf('p')}/ HTTP/1.0\r\n\r\n`);
    expect((await Promise.race([failed, closed.then(() => [{ code: 'none' }])]))[0]).to.have.property(
      'code',
      'ECONNRESET',
    );
    expect(ended).to.equal(false);
  });

  for (const [framing, headers] of [
    ['chunks', {}],
    ['a length', { 'Content-Length': 1000 }],
  ] as const)
    it(`of which no byte comes: the backend hears of the request all the same, and may answer it: delimited by ${framing}`, async () => {
      await stage.http('p', (_incoming, response) => response.writeHead(422).end());
      const outgoing = await stage.request(`${prefixOf('p')}/`, { method: 'PUT', headers });
      const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
      outgoing.flushHeaders();
      const [response] = await answered;
      expect(response.statusCode).to.equal(422);
      outgoing.on('error', () => undefined).destroy();
      await nothingLeft();
    });

  it('of which the backend wants no more: its answer arrives, and the connection to the client is used on', async () => {
    await stage.http('p', (incoming, response) => {
      if (incoming.method === 'GET') response.end('again');
      else response.writeHead(413, { Connection: 'close' }).end('too much');
    });
    const outgoing = await stage.request(`${prefixOf('p')}/`, {
      method: 'PUT',
      headers: { 'Content-Length': 4 * MIB },
    });
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    outgoing.write('x');
    const [response] = await answered;
    expect(response.statusCode).to.equal(413);
    expect(await text(response)).to.equal('too much');
    outgoing.end(Buffer.alloc(4 * MIB - 1));
    await nothingLeft();
    expect(await stage.fetch(`${prefixOf('p')}/`)).to.include({ body: 'again' });
  });

  it('of which the backend wants no more leave the connection of the client whole', async () => {
    await stage.http('p', (incoming, response) => {
      if (incoming.method === 'GET') response.end('again');
      else response.writeHead(413, { Connection: 'close' }).end('too much');
    });
    const socket = await stage.connect();
    socket.write(`PUT ${prefixOf('p')}/ HTTP/1.1\r\nHost: h\r\nContent-Length: ${4 * MIB}\r\n\r\nx`);
    let got = '';
    socket.on('data', (chunk: Buffer) => (got += chunk.toString()));
    await until('the answer', () => got.includes('too much'));
    socket.write(Buffer.alloc(4 * MIB - 1));
    socket.write(`GET ${prefixOf('p')}/ HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until('the next answer', () => got.includes('again'));
    socket.destroy();
  });

  it('are announced by Expect, which the client hears of', async () => {
    await stage.http('p', mirror);
    const outgoing = await stage.request(`${prefixOf('p')}/`, {
      method: 'PUT',
      headers: { Expect: '100-continue' },
    });
    const goOn = once(outgoing, 'continue');
    const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
    outgoing.flushHeaders();
    await goOn;
    outgoing.end('the body');
    const body = await text((await answered)[0]);
    expect(seenBy({ body } as never)).to.include({ body: 'the body' });
  });

  it('that nobody reads end when the proxy is closed', async () => {
    await stage.http('p', (_incoming, response) => void response.write('x'));
    const outgoing = request({ port: await stage.front(), host: '127.0.0.1', path: `${prefixOf('p')}/` });
    outgoing.on('error', () => undefined).end();
    await once(outgoing, 'response');
    await stage.end();
    expect(await Promise.all(stage.outcomes)).to.deep.equal([undefined]);
  });
});
