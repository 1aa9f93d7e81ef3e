/**
 * The files of a new project, as text. The job and its test are what `millrace init` is for: a test of the command runs
 * both, so they stay true.
 */

/** One file of a project; `path` is relative to its root. */
export interface ProjectFile {
  readonly path: string;
  readonly text: string;
}

/** @param engineVersion the version that writes the project; later patches and minors fit */
export function projectFiles(name: string, engineVersion: string): readonly ProjectFile[] {
  return [
    { path: 'package.json', text: `${JSON.stringify(packageJson(name, engineVersion), null, 2)}\n` },
    { path: 'tsconfig.json', text: tsconfig },
    { path: 'src/job.ts', text: job },
    { path: 'src/job.test.ts', text: jobTest },
    { path: 'data/orders.jsonl', text: `${orders.map((order) => JSON.stringify(order)).join('\n')}\n` },
    { path: 'README.md', text: readme(name) },
    { path: '.gitignore', text: 'node_modules/\nout/\n.millrace/\n' },
  ];
}

function packageJson(name: string, engineVersion: string) {
  return {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    engines: { node: '>=20.20' },
    scripts: {
      start: 'millrace run src/job.ts --fresh',
      dev: 'millrace run src/job.ts --fresh --watch',
      check: 'millrace check src/job.ts',
      plan: 'millrace plan src/job.ts',
      test: 'vitest run',
    },
    dependencies: { millrace: `^${engineVersion}` },
    devDependencies: { '@types/node': '^20.19.0', typescript: '^5.9.0', vitest: '^4.0.0' },
  };
}

const tsconfig = `{
  "compilerOptions": {
    "target": "es2023",
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "allowImportingTsExtensions": true,
    "noEmit": true,
    "strict": true,
    "skipLibCheck": true
  },
  "include": ["src"]
}
`;

const job = `/** Turnover per customer and minute, from a file of orders. */
import { count, defineJob, minutes, params, seconds, sum, tumbling } from 'millrace';
import { files } from 'millrace/files';

export interface Order {
  readonly customer: string;
  readonly amount: number;
  /** ms since the epoch. */
  readonly at: number;
}

export default defineJob('turnover', (env) => {
  const { input, output } = env.params({
    input: params.string({ default: 'data/orders.jsonl', description: 'orders, one JSON object a line' }),
    output: params.string({ default: 'out/turnover', description: 'directory of the results' }),
  });

  const turnover = env
    .from(files.jsonl<Order>(input), { uid: 'orders' })
    .withTimestamps((order) => order.at, { outOfOrderness: seconds(10) })
    .uid('event-time')
    .keyBy((order) => order.customer)
    .window(tumbling(minutes(1)))
    .aggregate({ orders: count(), amount: sum((order) => order.amount) })
    .uid('per-minute');

  turnover.to(files.jsonl(output)).uid('turnover');
  // Orders that came after their minute was over.
  turnover
    .late()
    .to(files.jsonl(\`\${output}-late\`))
    .uid('late-orders');
});
`;

const jobTest = `import { expect, test } from 'vitest';
import { runJob } from 'millrace/testing';
import job, { type Order } from './job.ts';

const minute = 60_000;
const order = (customer: string, amount: number, at: number): Order => ({ customer, amount, at });

test('turnover is summed per customer and minute', async () => {
  const result = await runJob(job, {
    inputs: { orders: [order('ada', 10, 0), order('ada', 5, 1_000), order('bob', 7, 2_000), order('ada', 1, minute)] },
  });
  expect(result.outputs('turnover')).toEqual([
    { key: 'ada', windowStart: 0, windowEnd: minute, orders: 2, amount: 15 },
    { key: 'bob', windowStart: 0, windowEnd: minute, orders: 1, amount: 7 },
    { key: 'ada', windowStart: minute, windowEnd: 2 * minute, orders: 1, amount: 1 },
  ]);
});

test('an order that comes too late goes to the late orders', async () => {
  const result = await runJob(job, { inputs: { orders: [order('ada', 1, 5 * minute), order('bob', 1, 0)] } });
  expect(result.outputs('late-orders')).toEqual([order('bob', 1, 0)]);
});
`;

const start = Date.UTC(2026, 0, 1, 12);
const orders = [
  { customer: 'ada', amount: 12.5, at: start },
  { customer: 'bob', amount: 40, at: start + 4_000 },
  { customer: 'ada', amount: 7.25, at: start + 31_000 },
  { customer: 'cleo', amount: 99, at: start + 29_000 },
  { customer: 'bob', amount: 3.5, at: start + 64_000 },
  { customer: 'ada', amount: 18, at: start + 121_000 },
  { customer: 'cleo', amount: 5, at: start + 62_000 },
];

function readme(name: string): string {
  return `# ${name}

A stream processing job with [Millrace](https://www.npmjs.com/package/millrace).

    npm install
    npm start        # runs src/job.ts, results in out/turnover
    npm run dev      # the same, again whenever the job changes, with its state
    npm test         # runs the job's tests, without files or clock
    npm run check    # checks types, then the job itself
    npm run plan     # shows the graph it runs as

Keep state over restarts with \`npx millrace run src/job.ts --state-dir .millrace/turnover\`.
`;
}
