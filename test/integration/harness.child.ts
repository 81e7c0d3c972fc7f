/**
 * Starts an sshd with a connection, says which processes it has and where its files are, and ends without
 * closing it.
 */
import { dirname } from 'node:path';
import { processTable } from '../support/processes.js';
import { connectRaw } from '../support/raw-client.js';
import { acquireTarget } from '../support/target.js';

const sshd = await acquireTarget();
await connectRaw(sshd);
const [, found = ''] = await sshd.waitForLog(/found at (\S+):\d+/);
const pids = await sshd.connectionPids();
const processes = processTable().filter(({ pid }) => pids.includes(pid));
const report = JSON.stringify({ processes, directory: dirname(found) });
process.stdout.write(`${report}\n`, () => {
  if (process.argv[2] === 'exit') process.exit();
  if (process.argv[2] === 'throw') throw new Error('as asked');
});
