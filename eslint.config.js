import { readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import tseslint from 'typescript-eslint';
import importX from 'eslint-plugin-import-x';

/** The floors of lib/, lowest first; a file may import from its own and those below it. What stands side by side shares a floor. */
const floors = [
  ['errors', 'diagnostics', 'abortable-signal', 'socket-like', 'dialer', 'printable'],
  ['validation', 'unless-aborted', 'diagnostics-events'],
  ['backoff', 'files'],
  ['ssh', 'spdy', 'tls', 'source-follower'],
  ['pool'],
  ['fleet'],
  ['options'],
  ['logins', 'credential-files'],
  ['tunnel-dialer', 'http', 'kubernetes', 'listen', 'metrics', 'testing'],
  ['client-node', 'kubelet'],
  ['apiserver'],
  ['index'],
];

const inLib = readdirSync('lib').map((entry) => entry.replace(/\.ts$/, ''));
const misplaced = inLib.filter((name) => !floors.flat().includes(name));
if (misplaced.length > 0)
  throw new Error(`eslint.config.js: on which floor of lib/ is ${misplaced.join(', ')}?`);

/** What adapters may know: the contract, not a transport. */
const adapters = {
  apiserver: [
    'errors',
    'abortable-signal',
    'diagnostics',
    'validation',
    'unless-aborted',
    'dialer',
    'files',
    'printable',
    'socket-like',
    'spdy',
    'tls',
    'http',
    'kubernetes',
    'kubelet',
  ],
  'client-node': ['errors', 'dialer', 'http'],
  http: ['errors', 'validation', 'dialer', 'socket-like', 'tls', 'printable'],
  kubernetes: [
    'errors',
    'diagnostics',
    'validation',
    'unless-aborted',
    'files',
    'printable',
    'backoff',
    'fleet',
  ],
  listen: ['errors', 'diagnostics', 'validation', 'unless-aborted', 'dialer', 'printable'],
  kubelet: [
    'errors',
    'abortable-signal',
    'diagnostics',
    'validation',
    'unless-aborted',
    'dialer',
    'files',
    'backoff',
    'printable',
    'socket-like',
    'tls',
    'http',
  ],
  metrics: ['errors', 'validation', 'dialer', 'diagnostics-events'],
  testing: ['errors', 'validation', 'printable', 'spdy', 'ssh'],
};

/** Packages that only some of lib/ may know. */
const confined = {
  ssh2: ['ssh', 'testing'],
  'generic-pool': ['pool'],
  'prom-client': ['metrics'],
  '@kubernetes/client-node': ['client-node', 'kubernetes'],
  ws: ['apiserver', 'kubelet', 'testing'],
};

/** Neighbours on one floor do not know each other either. */
const forbiddenTo = (name) => {
  const level = floors.findIndex((floor) => floor.includes(name));
  return floors
    .slice(level)
    .flat()
    .filter((other) => other !== name);
};

const unknownTo = (adapter) =>
  floors.flat().filter((other) => other !== adapter && !adapters[adapter].includes(other));

const restrictions = (name) => {
  const isAdapter = Object.hasOwn(adapters, name);
  const patterns = (isAdapter ? unknownTo(name) : forbiddenTo(name)).map((other) => ({
    // From within a folder of lib/, what it may not know lies outside; a file of its own may have the same name.
    regex: isAdapter ? `^(\\.\\./)+${other}(/|\\.js$)` : `^\\.\\.?/(.*/)?${other}(/|\\.js$)`,
    message: isAdapter
      ? `lib/${name} is an adapter and knows only ${adapters[name].join(', ')}`
      : `imports point downwards only: ${name} does not lie above ${other}`,
  }));
  const packages = Object.entries(confined)
    .filter(([, allowed]) => !allowed.includes(name))
    .map(([dependency, allowed]) => ({
      regex: `^${dependency}(/|$)`,
      message: `${dependency} is imported only under lib/${allowed.join('/ and lib/')}/`,
    }));
  const itself = { regex: '^tunnel-dialer(/|$)', message: 'lib/ imports its own files by path' };
  return {
    files: [`lib/${name}/**/*.ts`, `lib/${name}.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns: [...patterns, ...packages, itself] }] },
  };
};

export default tseslint.config(
  { ignores: ['dist', 'docs', 'coverage'] },
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: { project: ['test/tsconfig.json'], tsconfigRootDir: import.meta.dirname },
    },
    settings: {
      'import-x/resolver-next': [
        importX.createNodeResolver({ extensions: ['.ts', '.js'], extensionAlias: { '.js': ['.ts', '.js'] } }),
      ],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import-x/core-modules': builtinModules,
    },
    rules: {
      'import-x/no-cycle': 'error',
      'import-x/no-default-export': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true }],
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'use a union of literals' },
        { selector: 'ImportExpression', message: 'import at the top, where the floors are seen' },
      ],
    },
  },
  ...floors.flat().map(restrictions),
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
);
