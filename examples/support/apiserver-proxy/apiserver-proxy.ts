import { command } from '../command.js';
import { HELP, OPTIONS } from './arguments.js';
import { optionsIn } from './config-file.js';
import { serve } from './serve.js';
import { settingsFrom } from './settings.js';

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
