import { expect } from 'chai';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type SshNode, type SshNodeOptions, startSshNode } from '../../lib/testing/index.js';
import { connect, echo, read, readAll, refusal, startEndpoint, type TestEndpoint } from './peer.js';

describe('testing: forwarding of an SSH node', () => {
  const cleanups: (() => unknown)[] = [];
  const start = async (options?: SshNodeOptions): Promise<SshNode> => {
    const node = await startSshNode(options);
    cleanups.push(() => node.close());
    return node;
  };
  const endpoint = async (serve: (socket: Socket) => void): Promise<TestEndpoint> => {
    const started = await startEndpoint(serve);
    cleanups.push(() => started.close());
    return started;
  };
  const closedPort = async (): Promise<number> => {
    const { port, close } = await startEndpoint(() => undefined);
    await close();
    return port;
  };

  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  it('carries bytes to an endpoint and back', async () => {
    const { port } = await endpoint(echo);
    const node = await start();
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', port);
    channel.end('hello');
    expect((await readAll(channel)).toString()).to.equal('hello');
    await node.until(({ channels }) => channels === 0);
    expect(node).to.include({ connections: 1, totalConnections: 1, totalChannels: 1, handshakes: 1 });
  });

  it('resolves names', async () => {
    const { port } = await endpoint(echo);
    const { open } = await connect(await start());
    const channel = await open('localhost', port);
    channel.end('by name');
    expect((await readAll(channel)).toString()).to.equal('by name');
  });

  it('lets the endpoint answer after the client has ended', async () => {
    const { port } = await endpoint((socket) => {
      socket.resume().once('end', () => socket.end('after your end'));
    });
    const { open } = await connect(await start());
    const channel = await open('127.0.0.1', port);
    channel.end('question');
    expect((await readAll(channel)).toString()).to.equal('after your end');
  });

  it('lets the client send after the endpoint has ended', async () => {
    const { port, next } = await endpoint((socket) => socket.end('bye'));
    const { open } = await connect(await start());
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    expect((await readAll(channel)).toString()).to.equal('bye');
    const received = readAll(socket);
    channel.end('still here');
    expect((await received).toString()).to.equal('still here');
  });

  it('passes an endpoint that resets on as an end, as OpenSSH does, and closes on the next write', async () => {
    const { port, next } = await endpoint(() => undefined);
    const node = await start();
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    socket.resetAndDestroy();
    channel.resume();
    await once(channel, 'end');
    expect(node.channels).to.equal(1);
    channel.write('into the void');
    await once(channel, 'close');
    await node.until(({ channels }) => channels === 0);
  });

  it('delivers what a client sent before it closed the channel', async () => {
    const size = 1024 * 1024;
    const { port, next } = await endpoint(() => undefined);
    const { open } = await connect(await start());
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    channel.write(Buffer.alloc(size));
    channel.close();
    expect((await readAll(socket)).length).to.equal(size);
  });

  it('loses nothing of it when the endpoint reads late', async () => {
    const { port, next } = await endpoint((socket) => socket.pause());
    const node = await start();
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    const chunk = Buffer.alloc(1024 * 1024);
    let sent = 0;
    for (let index = 0; index < 32; index += 1) {
      channel.write(chunk, (error) => {
        if (!error) sent += chunk.length;
      });
    }
    // Round trips on the same connection: the node has then read what it will.
    const other = await endpoint(echo);
    const probe = await open('127.0.0.1', other.port);
    for (let round = 0; round < 64; round += 1) {
      probe.write('x');
      await read(probe, 1);
    }
    channel.close();
    expect((await readAll(socket)).length).to.be.at.least(sent);
    expect(sent).to.be.above(0);
  });

  it('leaves an endpoint that goes on sending when the client has closed the channel', async () => {
    const { port, next } = await endpoint((socket) => socket.resume());
    const node = await start();
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    channel.close();
    await once(socket, 'end');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const send = () => socket.write('anybody?', (error) => error ?? setImmediate(send));
    send();
    await closed;
    expect(node.channels).to.equal(0);
  });

  it('closes a channel whose endpoint resets while the client sends', async () => {
    const { port, next } = await endpoint((socket) => socket.pause());
    const node = await start();
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    const written = new Promise((resolve) => channel.write(Buffer.alloc(1024 * 1024), resolve));
    channel.resume().write(Buffer.alloc(16 * 1024 * 1024));
    await written;
    socket.resetAndDestroy();
    await once(channel, 'close');
    await node.until(({ channels }) => channels === 0);
  });

  it('tells the endpoint when the connection is gone', async () => {
    const { port, next } = await endpoint((socket) => socket.resume());
    const node = await start();
    const { client, open } = await connect(node);
    const [socket] = await Promise.all([next(), open('127.0.0.1', port)]);
    client.end();
    await once(socket, 'end');
    await node.until(({ connections, channels }) => connections === 0 && channels === 0);
  });

  it('holds an endpoint back while the client does not read', async () => {
    const { port, next } = await endpoint(() => undefined);
    const { open } = await connect(await start());
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    const chunk = Buffer.alloc(64 * 1024, 7);
    const total = 64 * 1024 * 1024;
    let written = 0;
    const fill = () => {
      while (written < total) {
        written += chunk.length;
        if (!socket.write(chunk)) return;
      }
      socket.end();
    };
    socket.on('drain', fill);
    fill();
    // An echo of 256 round trips on the same connection: time enough for 64 MiB, were it not held back.
    const other = await endpoint(echo);
    const probe = await open('127.0.0.1', other.port);
    for (let round = 0; round < 256; round += 1) {
      probe.write('x');
      await read(probe, 1);
    }
    expect(written).to.be.below(32 * 1024 * 1024);
    expect((await readAll(channel)).length).to.equal(total);
  });

  it('holds a client back while the endpoint does not read', async () => {
    const { port, next } = await endpoint((socket) => socket.pause());
    const { open } = await connect(await start());
    const [socket, channel] = await Promise.all([next(), open('127.0.0.1', port)]);
    const chunk = Buffer.alloc(64 * 1024, 7);
    const total = 64 * 1024 * 1024;
    let written = 0;
    const fill = () => {
      while (written < total) {
        written += chunk.length;
        if (!channel.write(chunk)) return;
      }
      channel.end();
    };
    channel.on('drain', fill);
    fill();
    const other = await endpoint(echo);
    const probe = await open('127.0.0.1', other.port);
    for (let round = 0; round < 256; round += 1) {
      probe.write('x');
      await read(probe, 1);
    }
    expect(written).to.be.below(32 * 1024 * 1024);
    expect((await readAll(socket)).length).to.equal(total);
  });

  it('carries 200 channels at once', async () => {
    const { port } = await endpoint(echo);
    const node = await start();
    const { open } = await connect(node);
    const channels = await Promise.all(Array.from({ length: 200 }, () => open('127.0.0.1', port)));
    expect(node.channels).to.equal(200);
    const answers = await Promise.all(
      channels.map(async (channel, index) => {
        channel.end(`channel ${index}`);
        return (await readAll(channel)).toString();
      }),
    );
    expect(answers).to.deep.equal(channels.map((_, index) => `channel ${index}`));
    await node.until((now) => now.channels === 0);
    expect(node.totalChannels).to.equal(200);
  });

  it("refuses what the endpoint refuses, in OpenSSH's words", async () => {
    const { open } = await connect(await start());
    const port = await closedPort();
    expect(await refusal(open('127.0.0.1', port))).to.deep.equal({ reason: 2, text: 'Connection refused' });
    for (const name of ['', 'a b', '[::1]']) {
      const told = await refusal(open(name, port));
      expect(told, name).to.deep.equal({ reason: 2, text: 'Name or service not known' });
    }
  });

  it('refuses a port that does not exist without losing the connection', async () => {
    const { port } = await endpoint(echo);
    const { open } = await connect(await start());
    expect(await refusal(open('127.0.0.1', 65536))).to.deep.equal({ reason: 1, text: 'open failed' });
    const channel = await open('127.0.0.1', port);
    channel.end();
    expect(await readAll(channel)).to.have.length(0);
  });

  it('forwards only to what is permitted', async () => {
    const { port } = await endpoint(echo);
    const asked: string[] = [];
    const node = await start({
      permit: (host, to) => {
        asked.push(`${host}:${to}`);
        return host === '127.0.0.1';
      },
    });
    const { open } = await connect(node);
    expect(await refusal(open('localhost', port))).to.deep.equal({ reason: 1, text: 'open failed' });
    await open('127.0.0.1', port);
    expect(asked).to.deep.equal([`localhost:${port}`, `127.0.0.1:${port}`]);
  });

  it('takes a dial elsewhere when it is redirected', async () => {
    const { port } = await endpoint(echo);
    const node = await start({
      redirect: (host) => (host === '10.0.0.11' ? { host: '127.0.0.1', port } : undefined),
    });
    const { open } = await connect(node);
    const channel = await open('10.0.0.11', 10250);
    channel.end('kubelet?');
    expect((await readAll(channel)).toString()).to.equal('kubelet?');
  });

  it('says so when permit or redirect fails, and keeps the connection', async () => {
    const results: (() => unknown)[] = [
      () => {
        throw new Error('oops');
      },
      () => Promise.resolve(true),
    ];
    const targets: (() => unknown)[] = [
      () => ({ host: '127.0.0.1', port: 1.5 }),
      () => ({ port: 1 }),
      () => {
        throw new Error('lost');
      },
    ];
    const node = await start({
      permit: () => (results.length === 0 ? true : (results.shift()?.() as boolean)),
      redirect: () => targets.shift()?.() as undefined,
    });
    const { open } = await connect(node);
    const told: string[] = [];
    for (let asked = 0; asked < 5; asked += 1) {
      const { reason, text } = await refusal(open('127.0.0.1', 1));
      told.push(text);
      expect(reason).to.equal(1);
    }
    expect(told[0]).to.equal('permit or redirect failed: Error: oops');
    expect(told[1]).to.match(/permit\(\) must be true or false/);
    expect(told[2]).to.match(/redirect\(\)\.port must be an integer/);
    expect(told[3]).to.match(/redirect\(\)\.host must be a non-empty string/);
    expect(told[4]).to.match(/Error: lost$/);
    const { port } = await endpoint(echo);
    await open('127.0.0.1', port);
  });

  it('asks no endpoint when permit cuts the connection', async () => {
    let asked = 0;
    const { port } = await endpoint(() => (asked += 1));
    const node: SshNode = await start({
      permit: () => {
        if (node.totalConnections === 1) node.cut('rst');
        return true;
      },
    });
    const first = await connect(node);
    await refusal(first.open('127.0.0.1', port));
    const second = await connect(node);
    await second.open('127.0.0.1', port);
    expect(asked).to.equal(1);
  });

  it('offers no session', async () => {
    const { client } = await connect(await start());
    const error = await new Promise<(Error & { reason?: number }) | undefined>((resolve) => {
      client.exec('true', (failure) => resolve(failure));
    });
    expect(error).to.include({ reason: 1 });
  });
});
