/**
 * What the type checker and biome do not see: promises nobody awaits, switches that forget a case, and effects outside the
 * shells. Clock, random, timers and the console are arguments everywhere else, so that a core can be run by the simulator
 * and a failure repeated from its seed.
 */
import tseslint from 'typescript-eslint';

/**
 * Files that may touch the clock, chance, timers or the console: thin shells. A new entry needs a reason in its own line;
 * decisions do not belong into any of them.
 */
export const shellFiles = [
  // Entries of processes and threads, and what prints.
  'cli/**/*.ts',
  'taskmanager/**/*.ts',
  'runtime/slot/**/*.ts',
  // Listeners, log lines and what is sampled by the second.
  'operations/**/*.ts',
  // Timers of the job manager; its models are given the time.
  'jobmanager/*.ts',
  'jobmanager/store/**/*.ts',
  // Ids of submissions.
  'jobmanager/cluster/client-service.ts',
  // Deadlines of calls; who leads is decided in model/leader-election.ts.
  'jobmanager/etcd/etcd-client.ts',
  // Connectors meet the outside world: rates, file ages, standard output.
  'connectors/**/*.ts',
  // A backend for tests that answers late on purpose.
  'runtime/state/cold-test-backend.ts',
  // Names of temporary files and their age.
  'storage/**/*.ts',
  // Deadlines of calls and tries to connect; who is lost is decided in connection-watch.ts.
  'proto/rpc/grpc/**/*.ts',
  // Waits while a cluster elects a leader, and names submissions; whom to ask is decided in leader-search.ts.
  'client/submission/cluster-client.ts',
  // Real time around simulated time, seeds, reports.
  'testing/**/*.ts',
  'benchmarks/**/*.ts',
  'cluster-tests/**/*.ts',
  'tools/**/*',
  'bin/**/*',
  'examples/**/*.ts',
];

/**
 * Files on the record path that read the monotonic clock to know when their turn in the slot loop is over. It decides when
 * they yield, never what they do, so results do not depend on it.
 */
export const turnBudgetFiles = [
  'runtime/subtask/subtask.ts',
  'runtime/operators/source-reader.ts',
  'runtime/state/change-ledger.ts',
  'runtime/state/reserved-rows.ts',
];

const banned = 'Clock, random, timers and console come through the constructor; see shellFiles in eslint.config.js.';

const restricted = ['setTimeout', 'setInterval', 'setImmediate', 'console', 'performance'];

const effects = {
  'no-restricted-globals': [
    'error',
    ...['setTimeout', 'setInterval', 'setImmediate', 'console', 'performance'].map((name) => ({
      name,
      message: banned,
    })),
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: banned },
    { object: 'Math', property: 'random', message: banned },
    { object: 'process', property: 'hrtime', message: banned },
  ],
  'no-restricted-syntax': [
    'error',
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: banned },
    {
      selector:
        "CallExpression[callee.property.name='randomUUID'], CallExpression[callee.name=/^random(UUID|Bytes|Int)$/]",
      message: banned,
    },
  ],
  'no-restricted-imports': [
    'error',
    {
      paths: ['node:timers', 'node:timers/promises', 'node:perf_hooks', 'timers', 'timers/promises', 'perf_hooks'].map(
        (name) => ({
          name,
          message: banned,
        }),
      ),
    },
  ],
};

const noEffects = Object.fromEntries(Object.keys(effects).map((name) => [name, 'off']));

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'out/**',
      'coverage/**',
      '.millrace/**',
      'proto/generated/**',
      'node_modules/**',
      '**/testdata/**',
    ],
  },
  {
    files: ['**/*.ts'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: ['./tsconfig.json', './tsconfig.tools.json'], tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // What was caught may be thrown again, whatever it is.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true, allowRethrowing: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      ...effects,
    },
  },
  {
    files: turnBudgetFiles,
    rules: {
      'no-restricted-globals': [
        'error',
        ...restricted.filter((name) => name !== 'performance').map((name) => ({ name, message: banned })),
      ],
    },
  },
  { files: [...shellFiles, '**/*.test.ts', '**/*.test-support.ts', '**/*.test.support.ts', '*.ts'], rules: noEffects },
  {
    // Tests throw odd values on purpose, and node:test style callbacks may be asynchronous.
    files: ['**/*.test.ts'],
    rules: { '@typescript-eslint/only-throw-error': 'off' },
  },
);
