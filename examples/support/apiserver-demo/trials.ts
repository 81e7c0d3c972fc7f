import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster } from './cluster.js';
import { CART, GREETING, WEB } from './objects.js';

/** How `kubectl` ended, or was ended. */
export interface Outcome {
  readonly code: number | null;
  readonly shown: string;
}

/** Something to try with kubectl. */
export interface Trial {
  /** Arguments of kubectl for a person. */
  readonly line: string;
  /** The same for a machine, if there has to be a difference. */
  readonly args?: readonly string[];
  /** What is typed. Default: nothing. */
  readonly typed?: string;
  /** kubectl is stopped when it has shown this, because it would never end. */
  readonly until?: RegExp;
  /** What to do before; what it resolves with counts as shown. */
  readonly meanwhile?: (match: RegExpExecArray) => Promise<string>;
  /** Path of the GET that does the same, if one does. */
  readonly path?: string;
  isRight(outcome: Outcome): boolean | Promise<boolean>;
}

const PODS = '/api/v1/namespaces/default/pods';

export function trialsIn({ folder, webPort }: Cluster): readonly Trial[] {
  const [menu, copied] = [join(folder, 'menu.txt'), join(folder, 'copied.txt')];
  const raw = (path: string, isRight: (text: string) => boolean): Trial => ({
    line: `get --raw ${path}`,
    path,
    isRight: ({ shown }) => isRight(shown),
  });
  return [
    { line: 'get pods', path: PODS, isRight: ({ shown }) => shown.includes(CART) && shown.includes(WEB) },
    {
      line: `logs -f --tail 3 ${CART}`,
      until: /order.*\norder.*\norder.*\norder/,
      path: `${PODS}/${CART}/log?tailLines=3`,
      isRight: ({ shown }) => /^order \d+: . × crème brûlée, paid\n/.test(shown),
    },
    {
      line: `exec -it ${CART} -- sh`,
      args: ['exec', '-i', CART, '--', 'sh'],
      typed: 'echo "$HOSTNAME"; exit 42\n',
      isRight: ({ code, shown }) => code === 42 && shown.startsWith(`${CART}\n`),
    },
    {
      line: `cp ${menu} ${CART}:${copied}`,
      isRight: async ({ code }) =>
        code === 0 && (await readFile(copied, 'utf8')) === (await readFile(menu, 'utf8')),
    },
    {
      line: 'port-forward service/web 8080:80',
      args: ['port-forward', 'service/web', ':80'],
      until: /Forwarding from 127\.0\.0\.1:(\d+)/,
      meanwhile: async ([, port]) => (await fetch(`http://127.0.0.1:${port}/`)).text(),
      isRight: ({ shown }) => shown.includes(GREETING),
    },
    raw(`${PODS}/${WEB}:${webPort}/proxy/`, (text) => text.includes(GREETING)),
    raw('/api/v1/namespaces/default/services/web/proxy/', (text) => text.includes(GREETING)),
    raw('/api/v1/nodes/node-2/proxy/healthz', (text) => text === 'ok'),
  ];
}
