import { command } from '../command.js';
import { HELP, OPTIONS, settingsFrom } from './arguments.js';
import { optionsIn } from './config-file.js';
import { serve } from './serve.js';

export const apiserverProxyCommand = command({
  name: 'apiserver-proxy',
  help: HELP,
  options: OPTIONS,
  run: async (line, surroundings) => {
    const config = line.text('config');
    if (config !== undefined) line.setDefaults(optionsIn(config, OPTIONS));
    return serve(settingsFrom(line), line, surroundings);
  },
});
