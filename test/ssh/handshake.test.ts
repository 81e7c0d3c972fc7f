import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import sinon from 'sinon';
import ssh2, { type Connection } from 'ssh2';
import {
  AuthenticationError,
  DialTimeoutError,
  HostKeyError,
  TransportError,
  type TunnelError,
} from '../../lib/errors.js';
import { Credentials } from '../../lib/ssh/login/credentials.js';
import { handshake, type SshTarget } from '../../lib/ssh/handshake.js';
import type { JumpHost } from '../../lib/ssh/jump-host.js';
import type { ChannelSocket } from '../../lib/ssh/channel-socket.js';
import type { HostIdentity, HostKeyVerdict, HostKeyVerifier } from '../../lib/ssh/host-keys/verifier.js';
import { fingerprintOf } from '../../lib/ssh/host-keys/public-key.js';
import { generateKeyPair } from '../../lib/testing/keys.js';
import type { SshNode } from '../../lib/testing/index.js';
import { gate, Lab, rejection, turns } from '../support/dialer.js';

const never = new AbortController().signal;

/** A process that says who it is to whoever connects, whatever ours does, and no more. */
const GREETER = `
  const server = require('node:net').createServer((socket) => socket.on('error', () => {}).write('SSH-2.0-greeter\\r\\n'));
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

/** A verifier that notes what it is asked. */
function noting(verdict: HostKeyVerdict = { verdict: 'accepted' }) {
  const judged: { host: HostIdentity; key: Buffer }[] = [];
  const confirmed: Buffer[] = [];
  const verifier: HostKeyVerifier = {
    keyTypes: () => undefined,
    verify: (host, key) => {
      judged.push({ host, key: Buffer.from(key) });
      return verdict;
    },
    confirmed: (_host, key) => {
      confirmed.push(Buffer.from(key));
      return Promise.resolve();
    },
  };
  return { judged, confirmed, verifier };
}

describe('handshake', () => {
  let lab: Lab;
  let node: SshNode;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node({ ident: 'OpenSSH_9.2p1' });
  });

  afterEach(async () => {
    await lab.end();
  });

  const shake = (options: Partial<SshTarget> = {}, signal = never) =>
    handshake(lab.target(node, options), signal);

  /** The error of an attempt, after which nothing may be left of it. */
  async function failure<T = TunnelError>(options: Partial<SshTarget> = {}): Promise<T> {
    const error = await rejection<T>(shake(options));
    // One that hangs would not notice that we are gone.
    node.resume();
    await node.until(({ connections }) => connections === 0);
    return error;
  }

  it('makes an authenticated connection without delay, and knows the software of the node', async () => {
    const {
      client,
      transport: { stream: socket },
      software,
    } = await shake();
    lab.onEnd(() => socket.destroy());
    expect(software).to.equal('OpenSSH_9.2p1');
    expect(node).to.include({ connections: 1, handshakes: 1 });
    const answered = new Promise((resolve) => client.unforwardIn('', 0, resolve));
    await answered;
  });

  it('leaves nothing but its connection: no listener on the signal, no deadline', async () => {
    const { signal } = new AbortController();
    const {
      transport: { stream: socket },
    } = await shake({ connectMs: 2_000_000 }, signal);
    lab.onEnd(() => socket.destroy());
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  describe('host key', () => {
    it('is judged once, by the names of the host, and confirmed once', async () => {
      const { judged, confirmed, verifier } = noting();
      const host = { names: ['127.0.0.1', 'node-1.example'], port: node.spec.port };
      const {
        transport: { stream: socket },
      } = await shake({ hostKeys: verifier, host });
      lab.onEnd(() => socket.destroy());
      expect(judged).to.have.length(1);
      expect(judged[0]!.host).to.deep.equal(host);
      expect(confirmed).to.deep.equal([judged[0]!.key]);
    });

    it('is not judged or confirmed again when the node exchanges keys again', async () => {
      const { judged, confirmed, verifier } = noting();
      const {
        client,
        transport: { stream: socket },
      } = await shake({ hostKeys: verifier });
      lab.onEnd(() => socket.destroy());
      await node.rekey();
      await new Promise((resolve) => client.unforwardIn('', 0, resolve));
      expect([judged.length, confirmed.length, node.rekeys]).to.deep.equal([1, 1, 1]);
    });

    it('is held to: another one in a later key exchange ends the connection, whatever the verifier would say', async () => {
      const { judged, verifier } = noting();
      const server = new ssh2.Server({ hostKeys: [generateKeyPair('ed25519').privateKey] });
      const connected = new Promise<Connection>((resolve) => server.once('connection', resolve));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      lab.onEnd(() => new Promise<void>((resolve) => server.close(() => resolve())));
      const { port } = server.address() as AddressInfo;
      const shaken = shake({ hostKeys: verifier, host: { names: ['127.0.0.1'], port } });
      const peer = await connected;
      peer.on('error', () => undefined).on('authentication', (attempt) => attempt.accept());
      const {
        client,
        transport: { stream: socket },
      } = await shaken;
      const lost = once(client, 'error') as Promise<[Error]>;
      const { _protocol: protocol } = peer as unknown as {
        _protocol: { _hostKeys: Record<string, unknown> };
      };
      protocol._hostKeys['ssh-ed25519'] = ssh2.utils.parseKey(generateKeyPair('ed25519').privateKey);
      peer.rekey();
      expect((await lost)[0].message).to.match(/verification/i);
      socket.destroy();
      expect(judged).to.have.length(1);
    });

    const reasons = ['unknown', 'mismatch', 'revoked'] as const;
    for (const reason of reasons) {
      it(`that is ${reason} ends the attempt with its fingerprint and the verifier's hint`, async () => {
        const { verifier, confirmed } = noting({ verdict: 'rejected', reason, hint: 'do this and that' });
        const error = await failure<HostKeyError>({ hostKeys: verifier });
        expect(error).to.be.an.instanceOf(HostKeyError);
        expect(error).to.include({ reason, fingerprint: node.hostKey.fingerprint, node: 'node-1' });
        expect(error.message)
          .to.include(node.hostKey.fingerprint)
          .and.include('do this and that')
          .and.include('ssh-ed25519')
          .and.include(`node-1 (127.0.0.1:${node.spec.port})`);
        expect(confirmed).to.have.length(0);
      });
    }

    it('of a type that the verifier does not know is a mismatch', async () => {
      const { verifier } = noting();
      const hostKeys = { ...verifier, keyTypes: () => ['ecdsa-sha2-nistp256'] };
      const error = await failure<HostKeyError>({ hostKeys });
      expect(error).to.be.an.instanceOf(HostKeyError);
      expect(error).to.include({ reason: 'mismatch', fingerprint: undefined });
    });

    for (const type of ['ecdsa', 'rsa'] as const) {
      it(`of type ${type} works`, async () => {
        node.changeHostKey(type);
        const {
          transport: { stream: socket },
        } = await shake();
        socket.destroy();
      });
    }

    it('is on record before the connection is used', async () => {
      const { opened, open } = gate();
      const { verifier } = noting();
      let settled = false;
      const shaken = shake({ hostKeys: { ...verifier, confirmed: () => opened } }).finally(
        () => (settled = true),
      );
      await node.until(({ handshakes }) => handshakes === 1);
      await turns(20);
      expect(settled).to.equal(false);
      open();
      const {
        transport: { stream: socket },
      } = await shaken;
      socket.destroy();
    });

    it('that cannot be put on record ends the attempt with the reason', async () => {
      const { verifier } = noting();
      const disk = new Error('ENOSPC');
      const error = await failure({ hostKeys: { ...verifier, confirmed: () => Promise.reject(disk) } });
      expect(error).to.equal(disk);
    });

    it('whose record is never written ends the attempt at the deadline', async () => {
      const { verifier } = noting();
      const hostKeys = { ...verifier, confirmed: () => new Promise<void>(() => undefined) };
      const error = await failure<DialTimeoutError>({ hostKeys, connectMs: 200 });
      expect(error).to.be.an.instanceOf(DialTimeoutError);
    });

    for (const method of ['verify', 'keyTypes'] as const) {
      it(`ends the attempt, and not the process, when the verifier's ${method} throws`, async () => {
        const bug = new Error('bug in the verifier');
        const { verifier } = noting();
        const hostKeys = {
          ...verifier,
          [method]: () => {
            throw bug;
          },
        };
        const error = await failure<Error>({ hostKeys });
        expect(error === bug || error.cause === bug).to.equal(true);
      });
    }
  });

  describe('login', () => {
    it('says which key was refused and what the node accepts', async () => {
      node.faults.rejectKey();
      const error = await failure<AuthenticationError>();
      expect(error).to.be.an.instanceOf(AuthenticationError);
      const blob = Buffer.from(node.clientKey.publicKey.split(' ')[1]!, 'base64');
      expect(error.methods).to.deep.equal([`publickey (ssh-ed25519 ${fingerprintOf(blob)})`]);
      expect(error.message).to.include('it accepts publickey').and.include('"tunnel"');
    });

    it('fails for a user that the node does not know', async () => {
      const error = await failure({ username: 'nobody' });
      expect(error).to.be.an.instanceOf(AuthenticationError);
      expect(error.message).to.include('"nobody"');
    });

    it('fails with a key that the node does not know', async () => {
      const { privateKey } = generateKeyPair('ed25519');
      const error = await failure({ credentials: new Credentials({ privateKey }) });
      expect(error).to.be.an.instanceOf(AuthenticationError);
    });

    it('goes on past an agent that cannot be reached, and names it', async () => {
      const { privateKey } = generateKeyPair('ed25519');
      const agent = '/nonexistent/agent';
      const error = await failure<AuthenticationError>({
        credentials: new Credentials({ privateKey, agent }),
      });
      expect(error).to.be.an.instanceOf(AuthenticationError);
      expect(error.methods).to.have.length(2);
      expect(error.methods[1]).to.include('agent (out of reach');
    });

    it('fails with an agent alone that cannot be reached, which is not for the node to mend', async () => {
      const error = await failure({ credentials: new Credentials({ agent: '/nonexistent/agent' }) });
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message).to.include('no key to offer').and.include('agent (out of reach');
    });
  });

  describe('a node that cannot be talked to', () => {
    /** A port that greets each connection in its own way. */
    async function serve(greet: (socket: Socket) => void): Promise<Partial<SshTarget>> {
      const sockets = new Set<Socket>();
      const server = createServer((socket) => {
        sockets.add(socket);
        socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
        greet(socket);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      lab.onEnd(async () => {
        // Whatever the client has given up, it has also let go of.
        while (sockets.size > 0) await turns(1);
        await new Promise((resolve) => server.close(resolve));
      });
      return { host: { names: ['127.0.0.1'], port: (server.address() as AddressInfo).port } };
    }

    it('refuses the connection', async () => {
      await node.stop();
      const error = await failure();
      expect(error)
        .to.be.an.instanceOf(TransportError)
        .and.include({ code: 'ERR_TUNNEL_LOST', node: 'node-1' });
      expect(error.message).to.include('ECONNREFUSED');
    });

    it('has an address that does not exist', async () => {
      const error = await failure({ host: { names: ['node.invalid'], port: 22 } });
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message)
        .to.match(/ENOTFOUND|EAI_AGAIN/)
        .and.include('node.invalid');
    });

    it('speaks HTTP', async () => {
      const target = await serve((socket) => void socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'));
      expect(await failure(target)).to.be.an.instanceOf(TransportError);
    });

    it('speaks SSH 1', async () => {
      const target = await serve((socket) => void socket.resume().write('SSH-1.5-old\r\n'));
      const error = await failure(target);
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message).to.include('does not speak SSH');
    });

    it('sends rubbish after its identification', async () => {
      const target = await serve(
        (socket) => void socket.resume().write(`SSH-2.0-x\r\n${'\u00ff'.repeat(100)}`),
      );
      expect(await failure({ ...target, connectMs: 2000 })).to.satisfy(
        (error: unknown) => error instanceof TransportError || error instanceof DialTimeoutError,
      );
    });

    it('closes the connection at once, as sshd does at MaxStartups', async () => {
      const target = await serve((socket) => void socket.resume().end());
      const error = await failure(target);
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message).to.include('MaxStartups');
    });

    it('resets the connection', async () => {
      const target = await serve((socket) => void socket.resetAndDestroy());
      expect(await failure(target)).to.be.an.instanceOf(TransportError);
    });

    it('disconnects in the midst of the handshake', async () => {
      const shaken = rejection(shake());
      await node.until(({ connections }) => connections === 1);
      node.cut('fin');
      expect(await shaken).to.be.an.instanceOf(TransportError);
    });

    it('says nothing while others wait to be connected: is given up before the deadline', async () => {
      node.faults.silent();
      const patience = { silenceMs: 20, isOver: () => true };
      const error = await rejection<DialTimeoutError>(handshake(lab.target(node), never, patience));
      expect(error).to.be.an.instanceOf(DialTimeoutError).with.property('phase', 'connect');
      expect(error.message).to.include('said nothing within 20 ms, and others wait to be connected');
      node.resume();
      await node.until(({ connections }) => connections === 0);
    });

    it('says nothing while nobody waits: has all the time there is', async () => {
      node.faults.silent();
      let asked = 0;
      const patience = { silenceMs: 10, isOver: () => (asked += 1) === 4 };
      await rejection(handshake(lab.target(node), never, patience));
      expect(asked).to.equal(4);
      node.resume();
      await node.until(({ connections }) => connections === 0);
    });

    it('has said who it is: is not asked to make place for others', async () => {
      node.faults.stallHandshake();
      const patience = { silenceMs: 50, isOver: () => true };
      const error = await rejection(handshake(lab.target(node, { connectMs: 400 }), never, patience));
      expect(error.message).to.include('within 400 ms');
      node.resume();
      await node.until(({ connections }) => connections === 0);
    });

    it('has spoken while our process slept: is not taken for silent', async () => {
      const patience = { silenceMs: 40, isOver: () => true };
      const child = spawn(process.execPath, ['-e', GREETER], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      const host = { names: ['127.0.0.1'], port: Number(line.toString()) };
      const shaken = rejection(handshake(lab.target(node, { host, connectMs: 400 }), never, patience));
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
      const error = await shaken;
      child.kill();
      await once(child, 'close');
      expect(error.message).to.include('did not finish the SSH handshake within 400 ms');
    });

    const silences = {
      'never says a word': () => node.faults.silent(),
      'stops after its identification': () => node.faults.stallHandshake(),
      'sends text without end': () => node.faults.banner('wait\r\n', { endless: true }),
      'sends a line without end': () => node.faults.banner('x'.repeat(1000), { endless: true }),
      'hangs as a whole': () => node.pause(),
    };
    for (const [what, act] of Object.entries(silences)) {
      it(`${what}: is given up, at the deadline at the latest`, async () => {
        act();
        const error = await failure({ connectMs: 200 });
        expect(error).to.satisfy(
          (one: unknown) => one instanceof DialTimeoutError || one instanceof TransportError,
        );
        if (error instanceof DialTimeoutError) {
          expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect', node: 'node-1' });
          expect(error.message).to.include('did not finish the SSH handshake within 200 ms');
        }
      });
    }

    it('has no algorithm in common with us', async () => {
      const target = await serve((socket) => {
        socket.resume().write('SSH-2.0-old\r\n');
        // KEXINIT (RFC 4253 §7.1) of a server that knows nothing but SHA-1.
        const lists = [
          'diffie-hellman-group1-sha1',
          'ssh-rsa',
          '3des-cbc',
          '3des-cbc',
          'hmac-sha1',
          'hmac-sha1',
          'none',
          'none',
          '',
          '',
        ];
        const strings = lists.map((list) => {
          const field = Buffer.alloc(4 + list.length, `....${list}`);
          field.writeUInt32BE(list.length);
          return field;
        });
        const payload = Buffer.concat([Buffer.from([20]), Buffer.alloc(16), ...strings, Buffer.alloc(5)]);
        const padding = 8 - ((payload.length + 5) % 8) + 4;
        const length = (padding + payload.length + 1 + 4) % 8 === 0 ? padding : padding + 4;
        const head = Buffer.alloc(5);
        head.writeUInt32BE(payload.length + length + 1);
        head[4] = length;
        socket.write(Buffer.concat([head, payload, Buffer.alloc(length)]));
      });
      const error = await failure(target);
      expect(error).to.be.an.instanceOf(TransportError);
      expect(error.message).to.include('no algorithm in common');
    });
  });

  describe('through a jump host', () => {
    type Jump = JumpHost['dial'];

    const behind = (dial: Jump, options: Partial<SshTarget> = {}): SshTarget =>
      lab.target(node, { via: { name: 'bastion', hops: 0, dial }, ...options });

    /** Hangs until it is given up, and then fails with an error of its own. */
    const hang: Jump = (_host, _port, _timeoutMs, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new TransportError('ERR_TUNNEL_LOST', 'given up')));
      });

    it('has one deadline with the jump', async () => {
      const now = sinon.stub(performance, 'now').returns(0);
      const stream = Object.assign(
        new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() }),
        {
          connecting: false,
          bytesRead: 0,
          bytesWritten: 0,
        },
      );
      try {
        const dial: Jump = () => {
          now.returns(59_990);
          return Promise.resolve(stream as unknown as ChannelSocket);
        };
        expect(await rejection(handshake(behind(dial, { connectMs: 60_000 }), never))).to.be.an.instanceOf(
          DialTimeoutError,
        );
        expect(stream.destroyed).to.equal(true);
      } finally {
        now.restore();
      }
    });

    for (const patience of [undefined, { silenceMs: 5, isOver: () => false }]) {
      it(`rejects with the reason of the signal, ${patience ? 'patient' : 'and not'} with others`, async () => {
        const controller = new AbortController();
        const shaken = rejection(handshake(behind(hang), controller.signal, patience));
        const reason = new Error('enough');
        controller.abort(reason);
        expect(await shaken).to.equal(reason);
      });
    }

    it('gives up a jump that takes long when others wait, and not before', async () => {
      let asked = 0;
      const patience = { silenceMs: 5, isOver: () => (asked += 1) === 4 };
      const error = await rejection(handshake(behind(hang), never, patience));
      expect(asked).to.equal(4);
      expect(error.message).to.include('others wait to be connected');
    });

    it('asks no more whether others wait when the jump has failed', async () => {
      let asked = 0;
      const { signal } = new AbortController();
      const isOver = (): boolean => {
        asked += 1;
        return false;
      };
      const fail: Jump = () => Promise.reject(new TransportError('ERR_TUNNEL_LOST', 'lost'));
      await rejection(handshake(behind(fail), signal, { silenceMs: 1, isOver }));
      expect(getEventListeners(signal, 'abort')).to.have.length(0);
      await turns(5);
      expect(asked).to.equal(0);
    });
  });

  describe('given up', () => {
    it('rejects with the reason of the signal, and lets go of the node', async () => {
      node.faults.stallHandshake();
      const controller = new AbortController();
      const shaken = rejection(shake({}, controller.signal));
      await node.until(({ connections }) => connections === 1);
      const reason = new Error('enough');
      controller.abort(reason);
      expect(await shaken).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      await node.until(({ connections }) => connections === 0);
    });

    it('before it began never connects', async () => {
      const reason = new Error('enough');
      expect(await rejection(shake({}, AbortSignal.abort(reason)))).to.equal(reason);
      await turns(5);
      expect(node.totalConnections).to.equal(0);
    });

    it('at any moment leaves nothing behind', async () => {
      for (let moment = 0; moment < 60; moment += 1) {
        const controller = new AbortController();
        const shaken = shake({}, controller.signal).then(
          ({ transport }) => void transport.stream.destroy(),
          () => undefined,
        );
        await turns(moment);
        controller.abort(new Error('enough'));
        await shaken;
        expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      }
      await node.until(({ connections }) => connections === 0);
    });
  });
});
