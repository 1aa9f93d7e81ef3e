import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      '{core,proto,runtime,storage,operations,jobmanager,taskmanager,client,connectors,cli,testing,tools,cluster-tests,benchmarks,examples}/**/*.test.ts',
    ],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 3,
    maxConcurrency: 2,
  },
});
