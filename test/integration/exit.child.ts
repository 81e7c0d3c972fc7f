/**
 * Brings a dialer into the situation that it is given on standard input, closes or destroys it, says `over`, and leaves it to Node to
 * end the process when nothing holds it any more.
 */
import { text } from 'node:stream/consumers';
import type { SshAccess } from '../support/sshd.js';
import { dialerTo, nodeStatus, type HostAndPort } from './stage.js';

/** Where the dialer is when it is closed or destroyed. */
export type Situation =
  /** It has been made, and nothing else. */
  | 'untouched'
  /** It is connected; its streams are over. */
  | 'idle'
  /** It has open streams, on several connections. */
  | 'streams'
  /** Dials are queued, and others wait for an endpoint that does not answer. */
  | 'dials'
  /** It is connecting to an sshd that says nothing. */
  | 'connecting'
  /** Its sshd is down, and it waits to try again. */
  | 'backing off';

/** What the child is to do. */
export interface ExitOrder {
  readonly access: SshAccess;
  readonly echo: HostAndPort;
  readonly blackHole: HostAndPort;
  readonly situation: Situation;
  readonly end: 'close' | 'destroy';
}

const { access, echo, blackHole, situation, end } = JSON.parse(await text(process.stdin)) as ExitOrder;
// Whatever would wait, waits much longer than the test.
const FOREVER_MS = 3_600_000;
const dialer = dialerTo(access, {
  pool: { maxConnections: 2, maxChannelsPerConnection: 2, idleTimeoutMs: FOREVER_MS },
  health: { keepaliveIntervalMs: FOREVER_MS },
  reconnect: { minMs: FOREVER_MS, maxMs: FOREVER_MS },
  timeouts: { dialMs: FOREVER_MS, connectMs: FOREVER_MS, graceMs: end === 'close' ? 100 : FOREVER_MS },
});
const ignore = (): void => undefined;

async function openEcho(): Promise<void> {
  const socket = await dialer.dial(echo.host, echo.port);
  socket.on('error', ignore).resume();
}

switch (situation) {
  case 'untouched':
    break;
  case 'idle': {
    const socket = await dialer.dial(echo.host, echo.port);
    socket.end('hello').resume();
    await new Promise((resolve) => socket.once('close', resolve));
    break;
  }
  case 'streams':
    await Promise.all([openEcho(), openEcho(), openEcho()]);
    break;
  case 'dials':
    await Promise.all([openEcho(), openEcho()]);
    for (let count = 0; count < 5; count++) dialer.dial(blackHole.host, blackHole.port).catch(ignore);
    while (nodeStatus(dialer).connections.ready < 2) await new Promise(setImmediate);
    break;
  case 'connecting':
    dialer.dial(echo.host, echo.port).catch(ignore);
    await new Promise(setImmediate);
    break;
  case 'backing off':
    await dialer.dial(echo.host, echo.port).catch(ignore);
    break;
}
if (end === 'close') await dialer.close();
else dialer.destroy();
console.log('over');
