import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { UsageError, type OptionTypes } from '../command-line.js';

/**
 * Options from a YAML file: `name: value`, each as on the command line without its dashes.
 *
 * @throws UsageError
 */
export function optionsIn(path: string, options: OptionTypes): Record<string, string | boolean> {
  const found: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(read(path))) {
    const option = Object.hasOwn(options, name) && name !== 'config' ? options[name] : undefined;
    if (option === undefined) throw new UsageError(`${path}: there is no option ${name}`);
    const isFlag = option.type === 'boolean';
    if (isFlag !== (typeof value === 'boolean') || !['string', 'number', 'boolean'].includes(typeof value))
      throw new UsageError(`${path}: ${name} must be ${isFlag ? 'true or false' : 'a text or a number'}`);
    found[name] = typeof value === 'boolean' ? value : String(value);
  }
  return found;
}

function read(path: string): object {
  let content: unknown;
  try {
    content = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UsageError(`--config: ${(error as Error).message}`);
  }
  if (typeof content === 'object' && content !== null && !Array.isArray(content)) return content;
  throw new UsageError(`${path}: must hold options, each as "name: value"`);
}
