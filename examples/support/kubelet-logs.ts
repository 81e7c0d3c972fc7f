import { kubeletAccessFrom } from './access.js';
import { containerFrom, HELP, logOptionsFrom, OPTIONS } from './arguments.js';
import { UsageError } from './command-line.js';
import { command, type Command } from './command.js';
import { kubeletLogsDemo } from './kubelet-logs-demo.js';
import { readContainerLog } from './read-container-log.js';

/** Prints a container's log. */
export const kubeletLogs: Command = command({
  name: 'kubelet-logs',
  help: HELP,
  options: OPTIONS,
  async run(line, { output, errors, signal }) {
    const report = (text: string): void => {
      if (line.flag('verbose')) errors.write(`# ${text}\n`);
    };
    if (line.flag('demo')) {
      if (line.words.length > 0) throw new UsageError('--demo has a pod of its own: give no names');
      return kubeletLogsDemo(kubeletLogs, { output, signal });
    }
    const access = kubeletAccessFrom(line, errors);
    const source = { access, container: containerFrom(line), log: logOptionsFrom(line) };
    await readContainerLog(source, { output, signal, report });
    return 0;
  },
});
