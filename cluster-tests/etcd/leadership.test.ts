/** Leadership on a real etcd, with the faults that real ones have. */
import { afterEach, expect, test } from 'vitest';
import type { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { leaderKeyOf } from '../../jobmanager/etcd/etcd-keys.ts';
import { readKey } from '../../jobmanager/etcd/etcd-api.ts';
import { describeWithEtcd, EtcdServer, waitUntil } from '../support/etcd.ts';
import { Contender, shortLeaseMs } from './contender.ts';

const leaderKey = leaderKeyOf('/millrace');
const endings: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function startEtcd(): Promise<{ server: EtcdServer; client: EtcdClient }> {
  const server = await EtcdServer.start();
  endings.push(() => server.stop());
  const client = server.client({ callTimeoutMs: 1_000 });
  endings.push(() => client.close());
  return { server, client };
}

async function startContenders(client: EtcdClient, count: number, leaseTtlMs?: number): Promise<Contender[]> {
  const make = (_: unknown, index: number): Contender => new Contender(client, `manager-${index}:6123`, leaseTtlMs);
  const contenders = Array.from({ length: count }, make);
  for (const contender of contenders) {
    await contender.start();
    endings.push(() => contender.leadership.resign());
  }
  return contenders;
}

const leaderOf = (contenders: readonly Contender[]): Contender | null => contenders.find(({ leads }) => leads) ?? null;

async function firstLeader(contenders: readonly Contender[]): Promise<Contender> {
  await waitUntil('somebody leads', () => leaderOf(contenders) !== null);
  return leaderOf(contenders) as Contender;
}

describeWithEtcd('leadership on a real etcd', () => {
  test('one of several leads, the others know its address and epoch, and the next one takes over when it resigns', async () => {
    const { client } = await startEtcd();
    const contenders = await startContenders(client, 3);
    const first = await firstLeader(contenders);
    const { address, epoch } = first.leadership.current() ?? { address: '', epoch: 0 };
    const others = contenders.filter((contender) => contender !== first);
    await waitUntil('the others know it', () =>
      others.every(
        ({ leadership }) => leadership.current()?.epoch === epoch && leadership.current()?.address === address,
      ),
    );
    expect(contenders.filter(({ leads }) => leads)).toEqual([first]);
    await first.leadership.resign();
    expect(first.lost).toEqual(['it resigned']);
    const second = await firstLeader(others);
    expect(second.epochs[0]).toBeGreaterThan(epoch);
  });

  test('a leader steps down at once when its key is deleted by hand, and somebody leads again in a later epoch', async () => {
    const { client } = await startEtcd();
    const contenders = await startContenders(client, 2);
    const first = await firstLeader(contenders);
    await client.transact({ when: [], apply: [{ kind: 'delete', key: leaderKey }], otherwise: [] });
    await waitUntil('it has stepped down', () => first.lost.length === 1);
    expect(first.lost[0]).toMatch(/its key is gone|has taken the lead/);
    const second = await firstLeader(contenders);
    expect(second.epochs.at(-1)).toBeGreaterThan(first.epochs[0] as number);
  });

  test('a leader steps down when its lease is revoked by hand', async () => {
    const { client } = await startEtcd();
    const contenders = await startContenders(client, 2);
    const first = await firstLeader(contenders);
    const { key } = await readKey(client, leaderKey);
    await client.revokeLease(key?.leaseId ?? '');
    await waitUntil('it has stepped down', () => first.lost.length === 1);
    expect(first.lost[0]).toMatch(/its key is gone|its lease has ended|has taken the lead/);
    await firstLeader(contenders);
  });

  test('a leader stops by itself before its lease ends when etcd hangs, and leads again afterwards', async () => {
    const { server, client } = await startEtcd();
    const [contender] = await startContenders(client, 1, shortLeaseMs);
    const leader = await firstLeader([contender as Contender]);
    server.pause();
    try {
      await waitUntil('it has stepped down', () => leader.lost.length > 0);
      expect(leader.lost[0]).toMatch(/not renewed in time|not be read in time/);
      expect(leader.leads).toBe(false);
    } finally {
      server.resume();
    }
    await waitUntil('it leads again', () => leader.epochs.length > 1);
    expect(leader.epochs[1]).toBeGreaterThan(leader.epochs[0] as number);
  });

  test('a leader goes on when etcd is killed and started again within its lease, or steps down and leads again', async () => {
    const { server, client } = await startEtcd();
    const contenders = await startContenders(client, 2);
    const first = await firstLeader(contenders);
    await server.kill();
    await server.restart();
    const epochBefore = first.epochs[0] as number;
    await waitUntil('somebody leads', () => leaderOf(contenders) !== null);
    const { key } = await readKey(client, leaderKey);
    const leader = await firstLeader(contenders);
    expect(leader.leadership.current()?.epoch).toBe(key?.createRevision);
    expect(key?.createRevision).toBeGreaterThanOrEqual(epochBefore);
    expect(contenders.filter(({ leads }) => leads)).toHaveLength(1);
  });

  test('a standby takes over after compaction of everything its watch has not told yet', async () => {
    const { client, server } = await startEtcd();
    const contenders = await startContenders(client, 2);
    const first = await firstLeader(contenders);
    for (let round = 0; round < 5; round++) {
      await client.transact({ when: [], apply: [{ kind: 'put', key: '/other', value: `${round}` }], otherwise: [] });
    }
    const { revision } = await readKey(client, leaderKey);
    await server.administer('kv/compaction', { revision: revision });
    await first.leadership.resign();
    await firstLeader(contenders.filter((contender) => contender !== first));
  });

  test('a watch from a compacted revision ends with the reason', async () => {
    const { client, server } = await startEtcd();
    for (let round = 0; round < 5; round++) {
      await client.transact({ when: [], apply: [{ kind: 'put', key: '/other', value: `${round}` }], otherwise: [] });
    }
    const { revision } = await readKey(client, leaderKey);
    await server.administer('kv/compaction', { revision: revision });
    const reason = await new Promise<string>((resolve) => {
      client.watch(leaderKey, 2, { onChange: () => undefined, onEnd: resolve });
    });
    expect(reason).toMatch(/compacted/);
  });
});
