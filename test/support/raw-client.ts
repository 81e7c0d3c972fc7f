import { once } from 'node:events';
import ssh2, { type ClientChannel } from 'ssh2';
import type { SshAccess } from './sshd.js';

/** ssh2's client as it is, with the host key checked: to test the harness, and as the yardstick for ours. */
export interface RawClient extends AsyncDisposable {
  /** Opens a channel. Rejects with ssh2's error, whose `reason` is that of RFC 4254 §5.1. */
  dial(host: string, port: number): Promise<ClientChannel>;
  /** Settles when the connection is gone, for whatever reason. */
  readonly closed: Promise<void>;
  close(): Promise<void>;
}

/** Connects to a server and logs in. */
export async function connectRaw(access: SshAccess, hostKeyType?: string): Promise<RawClient> {
  const client = new ssh2.Client();
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  client.on('error', () => undefined); // a test looks at `closed`
  client.connect({
    host: access.address,
    port: access.port,
    username: access.username,
    privateKey: access.privateKey,
    hostVerifier: (key: Buffer) =>
      access.hostKeys.some((line) => line.endsWith(` ${key.toString('base64')}`)),
    ...(hostKeyType === undefined ? {} : { algorithms: { serverHostKey: [hostKeyType] } as object }),
  });
  await once(client, 'ready');

  async function close(): Promise<void> {
    client.end();
    await closed;
  }

  return {
    dial: (host, port) =>
      new Promise((resolve, reject) => {
        client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
          if (error === undefined) resolve(channel);
          else reject(error);
        });
      }),
    closed,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Sends some text, ends, and gives what comes back until the other side ends. */
export async function exchange(channel: NodeJS.ReadWriteStream, text: string): Promise<string> {
  channel.end(text);
  let answer = '';
  for await (const chunk of channel) answer += String(chunk);
  return answer;
}
