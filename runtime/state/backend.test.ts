import { memoryBackend } from './backend.ts';
import { createColdTestBackend } from './cold-test-backend.ts';
import { testStateBackend } from './contract.test-support.ts';

testStateBackend('memory', () => memoryBackend, { runs: 60 });
testStateBackend('cold, 100 rows', () => createColdTestBackend(), { runs: 150 });
testStateBackend('cold, 3 rows', () => createColdTestBackend(3), { runs: 150 });
