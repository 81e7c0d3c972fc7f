import { expect } from 'chai';
import type { Socket } from 'node:net';
import { rejection, read, readAll, turn, until } from '../../support/dialer.js';
import { Proxy, statusIn, SWITCHING, UPGRADE, upgradeRequest } from './stage.js';

/** Answers the head of a request in these pieces, each in a segment of its own, and ends or not. */
const inPieces =
  (pieces: readonly string[], ends = false) =>
  (socket: Socket): void =>
    void socket.once('data', () => {
      void (async () => {
        for (const piece of pieces) {
          await new Promise((resolve) => socket.write(Buffer.from(piece, 'latin1'), resolve));
          await turn();
        }
        if (ends) socket.end();
      })();
    });

const CLOSE = 'Connection: close\r\n';

describe('apiserver: an upgrade to an ugly backend', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await Proxy.start();
  });
  afterEach(() => proxy.end());

  const message = async (): Promise<string> => {
    const { code, message } = statusIn(await proxy.answer(upgradeRequest()));
    expect(code).to.equal(500);
    return message;
  };

  it('passes on a 101 that is cut in two at any byte', async () => {
    const whole = `${SWITCHING}and then`;
    for (let at = 1; at < whole.length; at += 1) {
      await proxy.toRaw(inPieces([whole.slice(0, at), whole.slice(at)], true));
      expect(await proxy.answer(upgradeRequest()), `cut at ${at}`).to.equal(whole);
    }
  });

  it('passes on a refusal in chunks that is cut in two at any byte', async () => {
    const head = 'HTTP/1.1 403 No\r\nTransfer-Encoding: Chunked\r\n';
    const body = '5;x=y\r\nsome \r\n4\r\ndata\r\n0\r\nX-T: 1\r\n\r\n';
    const whole = `${head}\r\n${body}HTTP/1.1 200 OK\r\n\r\n`;
    for (let at = 1; at < whole.length; at += 1) {
      await proxy.toRaw(inPieces([whole.slice(0, at), whole.slice(at)]));
      expect(await proxy.answer(upgradeRequest()), `cut at ${at}`).to.equal(`${head}${CLOSE}\r\n${body}`);
    }
  });

  it('takes a head of 1 MiB, and none that is larger', async () => {
    const rest = '\r\n\r\n';
    const start = 'HTTP/1.1 101 X\r\nX: ';
    const fill = 'x'.repeat(1024 * 1024 - start.length - rest.length);
    await proxy.toRaw(inPieces([start + fill + rest], true));
    expect((await proxy.answer(upgradeRequest())).length).to.equal(1024 * 1024);
    await proxy.toRaw(inPieces([`${start}x${fill}${rest}`]));
    expect(await message()).to.match(/the head is larger than 1048576 bytes/);
  });

  it('does not read a head for ever', async () => {
    const backend = await proxy.toRaw((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(`X: ${'x'.repeat(1000)}\r\n`));
      };
      socket.on('drain', more).once('data', () => {
        socket.write('HTTP/1.1 101 X\r\n');
        more();
      });
    });
    expect(await message()).to.match(/the head is larger/);
    await until('its end', () => backend.sockets[0]?.closed === true);
  });

  const malformed: Record<string, [string, RegExp]> = {
    'that speaks something else': ['SSH-2.0-OpenSSH\r\n', /not HTTP/],
    'that speaks TLS': ['\x15\x03\x03\0\x02\x02\x28', /not HTTP/],
    'whose status is no number': ['HTTP/1.1 1O1 X\r\n\r\n', /status line/],
    'whose status has four digits': ['HTTP/1.1 1010 X\r\n\r\n', /status line/],
    'that speaks HTTP/2 in words': ['HTTP/2 101 X\r\n\r\n', /status line/],
    'with lines that end in LF': ['HTTP/1.1 101 X\nUpgrade: x\n\n', /bare LF/],
    'with one line that ends in LF': ['HTTP/1.1 101 X\r\nA: b\nC: d\r\n\r\n', /bare LF/],
    'with a bare CR': ['HTTP/1.1 101 X\r\nA: b\rC: d\r\n\r\n', /field/],
    'with an obs-fold': ['HTTP/1.1 101 X\r\nA: b\r\n c: d\r\n\r\n', /field/],
    'with a space before the colon': ['HTTP/1.1 101 X\r\nA : b\r\n\r\n', /field/],
    'with a NUL': ['HTTP/1.1 101 X\r\nA: \0\r\n\r\n', /field/],
    'with a field that has no name': ['HTTP/1.1 101 X\r\n: b\r\n\r\n', /field/],
    'with two different lengths': [
      'HTTP/1.1 400 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      /Content-Length/,
    ],
    'with a length that is none': ['HTTP/1.1 400 X\r\nContent-Length: 1e3\r\n\r\n', /Content-Length/],
    'with a length and chunks': [
      'HTTP/1.1 400 X\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      /Transfer-Encoding/,
    ],
  };
  for (const [what, [answer, problem]] of Object.entries(malformed)) {
    it(`answers 500 for one ${what}`, async () => {
      await proxy.toRaw(inPieces([answer]));
      expect(await message()).to.match(problem);
    });
  }

  it('answers 500 for one that ends in the middle of the head, or before it', async () => {
    for (const part of ['', 'HTTP/1.1 1', 'HTTP/1.1 101 X\r\nUpgrade: x\r\n']) {
      await proxy.toRaw(inPieces([part], true));
      expect(await message()).to.match(/unexpected EOF/);
    }
  });

  it('passes on a refusal that ends with the connection', async () => {
    const head = 'HTTP/1.0 500 X\r\n';
    await proxy.toRaw(inPieces([`${head}\r\n`, 'some ', 'data'], true));
    expect(await proxy.answer(upgradeRequest())).to.equal(`${head}${CLOSE}\r\nsome data`);
  });

  it('passes on a refusal to HEAD without waiting for a body', async () => {
    const head = 'HTTP/1.1 400 X\r\nContent-Length: 9\r\n';
    await proxy.toRaw(inPieces([`${head}\r\n`]));
    expect(await proxy.answer(upgradeRequest().replace('GET', 'HEAD'))).to.equal(`${head}${CLOSE}\r\n`);
  });

  it('passes on a large refusal to a client that reads slowly', async () => {
    const body = Buffer.alloc(16 * 1024 * 1024, 'x');
    await proxy.toRaw((socket) =>
      socket.once('data', () =>
        socket.end(
          Buffer.concat([Buffer.from(`HTTP/1.1 500 X\r\nContent-Length: ${body.length}\r\n\r\n`), body]),
        ),
      ),
    );
    const answer = await proxy.answer(upgradeRequest());
    expect(answer.length - answer.indexOf('\r\n\r\n') - 4).to.equal(body.length);
  });

  const broken: Record<string, string> = {
    'ends too early': 'HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nsome',
    'ends within chunks': 'HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsome',
  };
  for (const [what, answer] of Object.entries(broken)) {
    it(`does not let a refusal that ${what} look like a whole one`, async () => {
      await proxy.toRaw(inPieces([answer], true));
      const { code } = await rejection<NodeJS.ErrnoException>(readAll(proxy.send(upgradeRequest())));
      expect(code).to.equal('ECONNRESET');
    });
  }

  for (const chunks of ['5\nsome \n0\n\n', 'x\r\n', '2\r\nsome\r\n', '5\r\nsome \r0\r\n\r\n', '-1\r\n']) {
    it(`cuts a refusal in chunks such as ${JSON.stringify(chunks)}`, async () => {
      const head = 'HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n';
      const backend = await proxy.toRaw(inPieces([`${head}\r\n`]));
      const client = proxy.send(upgradeRequest());
      // A reset that comes in one breath with data is taken by libuv for an end.
      await read(client, `${head}${CLOSE}\r\n`.length);
      backend.sockets[0]?.write(chunks);
      const { code } = await rejection<NodeJS.ErrnoException>(readAll(client));
      expect(code).to.equal('ECONNRESET');
    });
  }

  describe('with a body in the request', () => {
    const post = (length: number): string =>
      ['POST /exec HTTP/1.1', 'Host: proxy', ...UPGRADE, `Content-Length: ${length}`, '', ''].join('\r\n');

    it('sends the body before there is an answer, and no more than that', async () => {
      const backend = await proxy.toRaw(() => undefined);
      const client = proxy.send(`${post(10)}hello`);
      await until('the first half', () => backend.received.endsWith('\r\n\r\nhello'));
      client.write('worldGET /second HTTP/1.1\r\n\r\n');
      await until('the body', () => backend.received.endsWith('helloworld'));
      backend.sockets[0]?.write(SWITCHING);
      await until('the rest', () => backend.received.endsWith('helloworldGET /second HTTP/1.1\r\n\r\n'));
    });

    it('AC-46 passes on a refusal that comes before the body has been read', async () => {
      const backend = await proxy.toRaw((socket) => {
        socket.once('data', () => {
          socket.pause();
          socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno');
        });
      });
      const client = proxy.send(post(1024 * 1024 * 1024));
      const sending = setInterval(() => client.write(Buffer.alloc(65_536)), 1);
      const answer = await readAll(client).finally(() => clearInterval(sending));
      expect(answer.toString()).to.equal(`HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n${CLOSE}\r\nno`);
      await proxy.over();
      backend.sockets[0]?.destroy();
    });

    it('AC-46 goes on after a 101 that comes before the body has been read', async () => {
      const backend = await proxy.toRaw((socket) => socket.once('data', () => socket.write(`${SWITCHING}!`)));
      const client = proxy.send(`${post(5)}he`);
      expect((await read(client, SWITCHING.length + 1)).toString()).to.equal(`${SWITCHING}!`);
      client.write('llo and more');
      await until('the rest', () => backend.received.endsWith('\r\n\r\nhello and more'));
      backend.sockets[0]?.write('back');
      expect((await read(client, 4)).toString()).to.equal('back');
    });

    it('gives up a client that ends within the body', async () => {
      const backend = await proxy.toRaw(() => undefined);
      const client = proxy.send(`${post(10)}hello`);
      await until('the first half', () => backend.received.endsWith('hello'));
      client.end();
      expect(await proxy.over()).to.equal(undefined);
      await until('the end', () => backend.isGone);
    });
  });
});
