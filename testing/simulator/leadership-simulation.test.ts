import { expect, test } from 'vitest';
import { loadLeadershipSimulator } from '../../tools/load-simulator.mjs';
import { leadershipSights, runLeadership } from './leadership-simulation.ts';
import type { PlantedBug } from './planted-bugs.ts';

const seedCount = 300;
/** Seeds within which every planted bug is found. */
const plantedSeedsMax = 300;

test(`leadership holds under ${seedCount} schedules of faults, and each interesting thing was seen`, () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= seedCount; seed++) {
    const { violation, sights, trace } = runLeadership(seed);
    expect(violation, `seed ${seed}\n${trace.slice(-30).join('\n')}`).toBeNull();
    for (const sight of sights) seen.add(sight);
  }
  expect([...seen].sort()).toEqual([...leadershipSights].sort());
});

test('a seed repeats its run exactly', () => {
  for (const seed of [3, 77, 200]) expect(runLeadership(seed).traceHash).toBe(runLeadership(seed).traceHash);
});

const election = 'jobmanager/model/leader-election.ts';
/** `finds`: which check must notice it. */
const planted: readonly (PlantedBug & { readonly finds: RegExp })[] = [
  {
    id: 'etcd3-lease',
    what: 'a lease counts as lost only at twice its time to live',
    file: election,
    find: 'return Math.min(lease.deadlineMs, confirmedUntilMs);',
    replace: 'return Math.min(lease.deadlineMs, confirmedUntilMs) + lease.ttlMs;',
    finds: /acts in epoch/,
  },
  {
    id: 'etcd3-clock',
    what: 'deadlines follow the wall clock',
    file: 'testing/simulator/simulated-contender.ts',
    find: 'return this.monotonicMs();',
    replace: 'return this.wallMs();',
    finds: /acts in epoch/,
  },
  {
    id: 'etcd3-#176',
    what: 'the answer to an old campaign elects',
    file: election,
    find: "if (phase.name !== 'campaigning' || phase.request !== event.request) return;\n    const { lease } = phase;",
    replace: `if (event.won && phase.name !== 'leading' && phase.name !== 'stepping-down') {
      const lease = { leaseId: event.leader.leaseId, ttlMs: 5_000, deadlineMs: this.#nowMs + 4_000 };
      return this.#lead(event.leader.createRevision, lease);
    }
    if (phase.name !== 'campaigning') return;
    const { lease } = phase;`,
    finds: /(acts|leads) in epoch/,
  },
  {
    id: 'own-2',
    what: 'a leader goes on until somebody tells it otherwise',
    file: election,
    find: 'return Math.min(lease.deadlineMs, confirmedUntilMs);',
    replace: 'return Number.POSITIVE_INFINITY;',
    finds: /acts in epoch/,
  },
  {
    id: 'ZOOKEEPER-fence',
    what: 'a write of the leader is not guarded by its key',
    file: 'jobmanager/etcd/etcd-keys.ts',
    find: "return { key: leaderKeyOf(prefix), target: 'create-revision', equals: epoch };",
    replace: "return { key: prefix + '/none', target: 'create-revision', equals: 0 };",
    finds: /took a write/,
  },
  {
    id: 'own-3',
    what: 'only the watch tells that the key is gone',
    file: election,
    find: '    this.#observe(revision, leader);\n    if (this.#watch === null',
    replace: '    if (this.#watch === null',
    finds: /longer than a lease|nobody leads/,
  },
];

test.each(planted)('the simulation finds $id when it is planted: $what', async (bug) => {
  const simulator = await loadLeadershipSimulator(bug);
  let found: string | null = null;
  for (let seed = 1; seed <= plantedSeedsMax && found === null; seed++) found = simulator.runLeadership(seed).violation;
  expect(found ?? 'nothing').toMatch(bug.finds);
});
