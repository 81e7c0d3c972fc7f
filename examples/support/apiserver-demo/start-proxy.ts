import { Writable } from 'node:stream';
import { apiserverProxyCommand } from '../apiserver-proxy/apiserver-proxy.js';

/** The proxy, as it runs. */
export interface StartedProxy {
  /** URL of it. */
  readonly server: string;
  /** As SIGTERM does; resolves with the exit code. */
  stop(): Promise<number>;
}

/** Runs the very command of examples/apiserver-proxy.ts. @param told - gets what it says */
export async function startProxy(config: string, told: Writable): Promise<StartedProxy> {
  const terminated = new AbortController();
  let tell: (server: string) => void = () => undefined;
  const server = new Promise<string>((resolve) => (tell = resolve));
  let said = '';
  const errors = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      told.write(chunk);
      said = (said + chunk.toString()).slice(-1000);
      const [, url] = /(https:\S+) stands in front/.exec(said) ?? [];
      if (url !== undefined) tell(url);
      done();
    },
  });
  const surroundings = { output: told, errors, environment: {}, signal: terminated.signal };
  const ended = apiserverProxyCommand(['--config', config], surroundings);
  const died = ended.then((code) => {
    throw new Error(`the proxy has ended with exit code ${code}`);
  });
  return {
    server: await Promise.race([server, died]),
    stop: () => {
      died.catch(() => undefined);
      terminated.abort('SIGTERM');
      return ended;
    },
  };
}
