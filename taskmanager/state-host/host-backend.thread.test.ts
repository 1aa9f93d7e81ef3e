/** The state backend contract over a real state host thread, run from `dist/` (build first). */
import { afterAll } from 'vitest';
import { testStateBackend } from '../../runtime/state/contract.test-support.ts';
import type { StateBackend } from '../../runtime/state/backend.ts';
import { MemorySpill } from '../../runtime/state/cold-test-backend.ts';
import { hostBackend } from './host-backend.ts';
import { startStateHost, type StateHost } from './state-host-client.ts';

let host: Promise<StateHost> | null = null;
let attempt = 0;

afterAll(async () => {
  await (await host)?.stop();
});

async function connect(cachedRowsMax: number): Promise<StateBackend> {
  host ??= startStateHost();
  // A new attempt each time: it starts with an empty database.
  attempt++;
  const { port, shared } = (await host).attachSlot({ jobName: 'contract', attempt, slotIndex: attempt });
  return hostBackend(port, shared, { cachedRowsMax, spill: new MemorySpill() });
}

// Several backends of one script are open at once, and a newer attempt of a slot shuts the older out: a slot each.
testStateBackend('state host, 100 rows', () => connect(100), { runs: 30 });
testStateBackend('state host, 3 rows', () => connect(3), { runs: 60 });
