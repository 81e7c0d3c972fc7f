import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { UsageError, type OptionTypes, type OptionValues } from '../command-line.js';

/**
 * Options from a YAML file: `name: value`, each as on the command line without its dashes; a list of values where one may be given again.
 *
 * @throws UsageError
 */
export function optionsIn(path: string, options: OptionTypes): OptionValues {
  const found: Record<string, OptionValues[string]> = {};
  for (const [name, value] of Object.entries(read(path))) {
    const option = Object.hasOwn(options, name) && name !== 'config' ? options[name] : undefined;
    if (option === undefined) throw new UsageError(`${path}: there is no option ${name}`);
    found[name] = valueOf(value, option, `${path}: ${name}`);
  }
  return found;
}

function valueOf(value: unknown, option: OptionTypes[string], what: string): OptionValues[string] {
  if (option.type === 'boolean') {
    if (typeof value === 'boolean') return value;
    throw new UsageError(`${what} must be true or false`);
  }
  if (option.multiple === true) {
    const list = Array.isArray(value) ? (value as unknown[]) : [value];
    if (list.every((each) => typeof each === 'string')) return list;
    throw new UsageError(`${what} must be a text, or a list of them`);
  }
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new UsageError(`${what} must be a text or a number`);
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
