/** The simulator's model of etcd does what a real one does, seen by the same random operations on both. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isEngineError } from '../../core/errors.ts';
import type { EtcdApi, EtcdCompare, EtcdKey, EtcdOperation, EtcdTransaction } from '../../jobmanager/etcd/etcd-api.ts';
import { readKey } from '../../jobmanager/etcd/etcd-api.ts';
import type { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdModel } from '../../testing/simulator/etcd-model.ts';
import { ModelEtcd } from '../../testing/simulator/model-etcd.ts';
import { type Random, randomStream } from '../../testing/simulator/random.ts';
import { describeWithEtcd, EtcdServer, waitUntil } from '../support/etcd.ts';

const keys = ['/m/a', '/m/b', '/m/c/1', '/m/c/2'];
const seeds = Array.from({ length: 12 }, (_, index) => index + 1);
const stepsPerSeed = 60;

/** An etcd with the leases it has granted, so that they are named alike on both. */
class Side {
  readonly etcd: EtcdApi;
  readonly leases: string[] = [];

  constructor(etcd: EtcdApi) {
    this.etcd = etcd;
  }

  lease(index: number): string {
    return this.leases[index] ?? '999999';
  }

  async seen(operate: () => Promise<unknown>): Promise<unknown> {
    try {
      const text = JSON.stringify((await operate()) ?? null);
      return JSON.parse(text, (name, value: unknown) =>
        name === 'leaseId' && value !== '0' ? `lease ${this.leases.indexOf(value as string)}` : value,
      );
    } catch (error) {
      return isEngineError(error) ? `refused: ${error.code}` : `thrown: ${String(error)}`;
    }
  }
}

type Step = (side: Side) => Promise<unknown>;

function compareOf(random: Random, known: ReadonlyMap<string, EtcdKey>): EtcdCompare {
  const key = random.pick(keys);
  const target = random.pick(['create-revision', 'mod-revision'] as const);
  const found = known.get(key);
  const right = target === 'create-revision' ? found?.createRevision : found?.modRevision;
  return { key, target, equals: random.chance(0.7) ? (right ?? 0) : random.between(0, 3) };
}

/** As data with leases by index; {@link transactionOn} names them for one side. */
type PlannedOperation = EtcdOperation & { readonly lease?: number };

function operationOf(random: Random): PlannedOperation {
  const key = random.pick(keys);
  const kind = random.pick(['put', 'put', 'put', 'get', 'list', 'delete', 'delete-all'] as const);
  if (kind === 'put') {
    const put = { kind, key, value: `v${random.between(0, 999)}` };
    return random.chance(0.4) ? { ...put, lease: random.between(0, 4) } : put;
  }
  if (kind === 'list') return { kind, prefix: '/m/', after: random.pick(['', ...keys]), limit: random.between(1, 3) };
  if (kind === 'delete-all') return { kind, prefix: random.pick(['/m/c/', '/m/']) };
  return { kind, key };
}

function transactionOn(side: Side, planned: EtcdTransaction): EtcdTransaction {
  const name = (operation: PlannedOperation): EtcdOperation => {
    const { lease, ...rest } = operation;
    return lease === undefined ? rest : ({ ...rest, leaseId: side.lease(lease) } as EtcdOperation);
  };
  return { when: planned.when, apply: planned.apply.map(name), otherwise: planned.otherwise.map(name) };
}

function stepOf(random: Random, known: ReadonlyMap<string, EtcdKey>): Step {
  const roll = random.next();
  if (roll < 0.12) {
    return async (side) => {
      const { leaseId, ttlMs } = await side.etcd.grantLease(60_000);
      side.leases.push(leaseId);
      return ttlMs;
    };
  }
  const lease = random.between(0, 4);
  if (roll < 0.2) return (side) => side.etcd.revokeLease(side.lease(lease));
  if (roll < 0.28) return (side) => side.etcd.keepAlive(side.lease(lease));
  const many = <T>(max: number, make: () => T): T[] => Array.from({ length: random.between(0, max) }, make);
  const planned: EtcdTransaction = {
    when: many(2, () => compareOf(random, known)),
    apply: many(3, () => operationOf(random)),
    otherwise: many(2, () => operationOf(random)),
  };
  return (side) => side.etcd.transact(transactionOn(side, planned));
}

async function allKeys(etcd: EtcdApi): Promise<Map<string, EtcdKey>> {
  const list = { kind: 'list' as const, prefix: '/m/', after: '', limit: 100 };
  const { found } = await etcd.transact({ when: [], apply: [list], otherwise: [] });
  return new Map((found[0] ?? []).map((key) => [key.key, key]));
}

/** Changes of a key from a revision on, as a watch tells them; waits until `count` have come or it ended. */
async function watched(side: Side, key: string, fromRevision: number, count: number): Promise<unknown[]> {
  const told: unknown[] = [];
  let ended = false;
  const stop = side.etcd.watch(key, fromRevision, {
    onChange: ({ revision, key: found }) => told.push({ revision, value: found?.value ?? null }),
    onEnd: (reason) => {
      ended = true;
      told.push(/compacted/.test(reason) ? 'compacted' : reason);
    },
  });
  await waitUntil('the watch has told all', () => ended || told.length >= count);
  stop();
  return told;
}

describeWithEtcd('the model of etcd beside a real one', () => {
  let server: EtcdServer;
  let client: EtcdClient;
  beforeAll(async () => {
    server = await EtcdServer.start();
    client = server.client();
  });
  afterAll(async () => {
    client.close();
    await server.stop();
  });

  test.each(seeds)('the model answers the operations of seed %i as a real etcd does', async (seed) => {
    await client.transact({ when: [], apply: [{ kind: 'delete-all', prefix: '/m/' }], otherwise: [] });
    const { revision } = await readKey(client, '/none');
    const model = new EtcdModel(revision);
    const sides = [new Side(new ModelEtcd(model)), new Side(client)] as const;
    const random = randomStream(seed, 'etcd operations');
    for (let step = 0; step < stepsPerSeed; step++) {
      const operate = stepOf(random, await allKeys(sides[0].etcd));
      const [expected, found] = await Promise.all(sides.map((side) => side.seen(() => operate(side))));
      expect(found, `seed ${seed}, step ${step}`).toEqual(expected);
    }
    for (const key of keys) {
      const expected = await watched(sides[0], key, revision + 1, 0);
      expect(await watched(sides[1], key, revision + 1, expected.length), `changes of ${key}`).toEqual(expected);
    }
    const middle = Math.floor((revision + model.revision) / 2);
    model.compact(middle);
    await server.administer('kv/compaction', { revision: middle });
    for (const from of [middle - 1, middle, middle + 1]) {
      const expected = await watched(sides[0], '/m/a', from, 0);
      expect(await watched(sides[1], '/m/a', from, expected.length), `changes from ${from}`).toEqual(expected);
    }
  });

  test('a lease that is not renewed ends and takes its keys with it, not before its time', async () => {
    const model = new EtcdModel();
    const asked = model.grantLease(1, 0);
    const granted = await client.grantLease(1);
    const sentMs = performance.now();
    expect(granted.ttlMs).toBe(asked.ttlMs);
    const put = (leaseId: string): EtcdTransaction => ({
      ...{ when: [], apply: [{ kind: 'put', key: '/leased', value: 'x', leaseId }], otherwise: [] },
    });
    model.transact(put(asked.leaseId));
    await client.transact(put(granted.leaseId));
    await waitUntil('the key is gone', async () => (await readKey(client, '/leased')).key === null);
    const goneMs = performance.now() - sentMs;
    expect(goneMs).toBeGreaterThanOrEqual(granted.ttlMs - 200);
    model.expire(asked.ttlMs - 1);
    expect(model.changesFrom('/leased', 0)).toHaveLength(1);
    model.expire(asked.ttlMs);
    expect(model.changesFrom('/leased', 0)).toHaveLength(2);
    expect(await client.keepAlive(granted.leaseId)).toBe(model.keepAlive(asked.leaseId, asked.ttlMs));
  });
});
