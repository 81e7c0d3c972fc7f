import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import sinon from 'sinon';
import type { WebSocket } from 'ws';
import { translateStreams } from '../../../lib/apiserver/translate/translate-streams.js';
import { until } from '../../support/dialer.js';
import { execPath } from '../../testing/kubelet/client.js';
import { Stage } from './stage.js';

const V5 = 'v5.channel.k8s.io';
const MAX_MESSAGE_BYTES = 2 ** 20;

/** What comes on each channel, until the close. */
async function heardOn(client: WebSocket): Promise<{ channels: Map<number, Buffer>; code: number }> {
  const heard = new Map<number, Buffer[]>();
  client.on('message', (message: Buffer) => {
    const [channel = -1] = message;
    heard.set(channel, [...(heard.get(channel) ?? []), message.subarray(1)]);
  });
  const [code] = (await once(client, 'close')) as [number];
  return { channels: new Map([...heard].map(([channel, all]) => [channel, Buffer.concat(all)])), code };
}

const json = (bytes: Buffer | undefined): unknown => JSON.parse(String(bytes));

describe('apiserver: v5.channel.k8s.io for a kubelet that does not know it (AC-32)', () => {
  it('tells stdout from stderr, and the exit code', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['sh', '-c', 'echo out; echo err >&2; exit 42']), [V5]);
    const { channels, code } = await heardOn(client);
    expect([channels.get(1), channels.get(2)].map(String)).to.deep.equal(['out\n', 'err\n']);
    expect(json(channels.get(3))).to.deep.include({
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '42' }] },
    });
    expect([client.protocol, code, stage.statuses]).to.deep.equal([V5, 1000, [101]]);
  });

  it('ends stdin when the client does, and carries 8 MiB through it (AC-39)', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['cat'], 'input=1&output=1'), [V5]);
    const heard = heardOn(client);
    await once(client, 'open');
    const sent = Buffer.alloc(8 * 1024 * 1024, 'all of it');
    for (let at = 0; at < sent.length; at += 32768)
      client.send(Buffer.concat([Buffer.of(0), sent.subarray(at, at + 32768)]));
    client.send(Buffer.of(255, 0));
    const { channels } = await heard;
    expect(channels.get(1)?.equals(sent)).to.equal(true);
    expect(json(channels.get(3))).to.include({ status: 'Success' });
  });

  it('takes a message of 1 MiB, and closes with 1009 and ends the command for one that is longer', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['cat'], 'input=1&output=1'), [V5]);
    const heard = heardOn(client);
    let echoed = 0;
    client.on('message', (message: Buffer) => (echoed += message.length - 1));
    await once(client, 'open');
    client.send(Buffer.alloc(MAX_MESSAGE_BYTES));
    await until('all of it back', () => echoed === MAX_MESSAGE_BYTES - 1);
    client.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1));
    const { channels, code } = await heard;
    expect([channels.get(1)?.length, code]).to.deep.equal([MAX_MESSAGE_BYTES - 1, 1009]);
    await until('the end of the command', () => stage.kubelet.open.execs === 0);
  });

  it('passes the refusal of the kubelet on', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['true'], undefined, 'other/app'), [V5]);
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).to.equal(404);
    response.resume();
  });

  it('ends the command when a client is gone whose words nobody waits for', async () => {
    let socket: Duplex | undefined;
    await using stage = await Stage.start((relay) => {
      ({ socket } = relay.upgrade);
      return translateStreams(relay);
    });
    const client = stage.connect(execPath(['sleep', '1000'], 'input=1'), [V5]);
    await once(client, 'open');
    // More than all buffers on the way take.
    for (let sent = 0; sent < 512; sent += 1) client.send(Buffer.alloc(64 * 1024));
    let paused = 0;
    await until('a client that has to wait', () => {
      paused = socket?.isPaused() === true ? paused + 1 : 0;
      return paused > 20;
    });
    expect(stage.kubelet.open.execs).to.equal(1);
    client.terminate();
    await until('the end', () => stage.kubelet.open.execs === 0);
  });

  it('has the kernel find out whether the machine of a silent client has gone', async () => {
    let keepAlive: sinon.SinonSpy | undefined;
    await using stage = await Stage.start((relay) => {
      keepAlive = sinon.spy(relay.upgrade.request.socket, 'setKeepAlive');
      return translateStreams(relay);
    });
    const client = stage.connect(execPath(['true']), [V5]);
    await heardOn(client);
    expect(keepAlive?.args).to.deep.equal([[true, 30_000]]);
  });

  it('ends the command when the client is gone', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['sleep', '1000']), [V5]);
    await once(client, 'open');
    await until('the exec', () => stage.kubelet.open.execs === 1);
    client.terminate();
    await until('its end', () => stage.kubelet.open.execs === 0);
  });

  it('says that the kubelet was lost', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['sleep', '1000']), [V5]);
    const heard = heardOn(client);
    await once(client, 'open');
    await until('the exec', () => stage.kubelet.open.execs === 1);
    await stage.kubelet.close();
    expect(json((await heard).channels.get(3))).to.include({ status: 'Failure', reason: 'InternalError' });
  });

  it('refuses a client that does not offer it', async () => {
    await using stage = await Stage.start(translateStreams);
    const client = stage.connect(execPath(['true']), ['v4.channel.k8s.io']);
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, IncomingMessage];
    expect(response.statusCode).to.equal(400);
    response.resume();
  });
});
