import { memoryBackend } from './backend.ts';
import { createColdTestBackend } from './cold-test-backend.ts';
import { testStateBackend } from './contract.ts';

testStateBackend('memory', () => memoryBackend, { runs: 200 });
testStateBackend('cold, 100 rows', () => createColdTestBackend(), { runs: 60 });
testStateBackend('cold, 3 rows', () => createColdTestBackend(3), { runs: 200 });
