/** A process that wants to lead, as the tests of leadership on a real etcd see it. */
import { randomUUID } from 'node:crypto';
import type { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdLeadership } from '../../jobmanager/etcd/etcd-election.ts';
import { systemClock } from '../../jobmanager/clock.ts';

export interface ContenderNews {
  readonly kind: 'leader' | 'lost';
  readonly epoch: number;
  readonly reason: string;
  readonly atMs: number;
}

/** The shortest lease that etcd grants, for tests that wait for its end. */
export const shortLeaseMs = 2_000;
/** For tests in which a busy machine must not cost the lead. */
const longLeaseMs = 10_000;

export class Contender {
  readonly news: ContenderNews[] = [];
  readonly warnings: string[] = [];
  readonly leadership: EtcdLeadership;
  #epoch = 0;

  constructor(etcd: EtcdClient, address: string, leaseTtlMs = longLeaseMs) {
    const logger = { info: () => undefined, warn: (message: string) => void this.warnings.push(message) };
    const clock = systemClock;
    this.leadership = new EtcdLeadership({
      ...{ etcd, prefix: '/millrace', address, id: randomUUID(), clock, random: Math.random, logger, leaseTtlMs },
    });
  }

  start(): Promise<void> {
    return this.leadership.start({
      onLeader: (epoch) => {
        this.#epoch = epoch;
        this.news.push({ kind: 'leader', epoch, reason: '', atMs: systemClock.nowMs() });
      },
      onLost: (reason) => {
        this.news.push({ kind: 'lost', epoch: this.#epoch, reason, atMs: systemClock.nowMs() });
      },
    });
  }

  get leads(): boolean {
    return this.leadership.current()?.isSelf === true;
  }

  get lost(): readonly string[] {
    return this.news.filter(({ kind }) => kind === 'lost').map(({ reason }) => reason);
  }

  get epochs(): readonly number[] {
    return this.news.filter(({ kind }) => kind === 'leader').map(({ epoch }) => epoch);
  }
}
