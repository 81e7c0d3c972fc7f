import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const { ModuleKind, ScriptTarget, transpileModule } = ts;

/**
 * Compiles the modules of `host/`, which import nothing but Node, types, and each other.
 *
 * @param directory - where to put the result
 * @returns the path of `host.js`
 */
export async function compileHost(directory: string): Promise<string> {
  const source = fileURLToPath(new URL('host', import.meta.url));
  const compiled = await mkdtemp(join(directory, 'host-'));
  await writeFile(join(compiled, 'package.json'), '{ "type": "module" }');
  for (const name of await readdir(source)) {
    const { outputText } = transpileModule(await readFile(join(source, name), 'utf8'), {
      compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2022, verbatimModuleSyntax: true },
    });
    await writeFile(join(compiled, name.replace(/\.ts$/, '.js')), outputText);
  }
  return join(compiled, 'host.js');
}
