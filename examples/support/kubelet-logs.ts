import { kubeletAccessFrom } from './access.js';
import { containerFrom, HELP, logOptionsFrom, OPTIONS } from './arguments.js';
import { command } from './command.js';
import { readContainerLog } from './read-container-log.js';

/** Prints a container's log. */
export const kubeletLogs = command({
  name: 'kubelet-logs',
  help: HELP,
  options: OPTIONS,
  async run(line, { output, errors, signal }) {
    const report = (text: string): void => {
      if (line.flag('verbose')) errors.write(`# ${text}\n`);
    };
    const access = kubeletAccessFrom(line, errors);
    const source = { access, container: containerFrom(line), log: logOptionsFrom(line) };
    await readContainerLog(source, { output, signal, report });
    return 0;
  },
});
