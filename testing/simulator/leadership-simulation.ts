/**
 * Leadership alone, under virtual time: several processes with drifting clocks want to lead by one etcd, while networks cut,
 * answers are lost, processes pause and crash, and etcd goes away. A seed repeats a run exactly.
 *
 * Checked at every step: nobody acts in an epoch after somebody acted in a later one, so no two lead at once; etcd accepts no
 * guarded write of an epoch after one of a later epoch; epochs only grow. After everything is healed somebody leads within a
 * lease and a bound, and goes on leading. Where an administrator deletes the key or ends the lease, the first is replaced by:
 * nobody acts longer than a lease after its key is gone.
 */
import { leaderElectionDefaults } from '../../jobmanager/model/leader-election-protocol.ts';
import { leaderKeyOf } from '../../jobmanager/etcd/etcd-keys.ts';
import { EventQueue } from './event-queue.ts';
import { type Random, hashStart, mixText, randomStream } from './random.ts';
import { clusterPrefix, SimulatedContender } from './simulated-contender.ts';
import { SimulatedEtcd } from './simulated-etcd.ts';

/** What must be seen at least once over a batch of seeds; else the batch proves less than it seems. */
export const leadershipSights = [
  'leader_stopped_by_itself',
  'leader_lost_its_key',
  'stale_write_refused',
  'paused_leader_came_back',
  'leader_crashed',
  'leader_resigned',
  'etcd_stepped_away',
  'meddled_with_key',
] as const;
export type LeadershipSight = (typeof leadershipSights)[number];

export interface LeadershipRun {
  readonly violation: string | null;
  readonly sights: ReadonlySet<LeadershipSight>;
  /** Equal for equal runs. */
  readonly traceHash: number;
  readonly trace: readonly string[];
}

const { leaseTtlMs } = leaderElectionDefaults;
const faultyMs = 60_000;
/** After healing: the rest of a lease, a watch that died, calls that hang until their deadline, a pause before the next try. */
const healBoundMs = 5_000;
const calmMs = 10_000;
/** Clocks run at most this much faster or slower with the default margin, which is 20 % of the lease; else they run alike. */
const driftMax = 0.08;
/** Where clocks run alike: nothing else may need a margin. */
const narrowMarginMs = 50;

type FaultKind =
  | 'pause'
  | 'crash'
  | 'cut'
  | 'loss'
  | 'slow'
  | 'unreachable'
  | 'down'
  | 'wall-jump'
  | 'compact'
  | 'resign'
  | 'meddle';

const faultKinds: readonly FaultKind[] = [
  ...(['pause', 'crash', 'cut', 'loss', 'slow', 'unreachable', 'down', 'wall-jump', 'compact', 'resign'] as const),
];

class Violation extends Error {}

class LeadershipSimulation {
  nowMs = 0;
  readonly sights = new Set<LeadershipSight>();
  readonly trace: string[] = [];
  traceHash = hashStart;
  readonly #queue = new EventQueue();
  readonly #tie: Random;
  readonly #random: Random;
  readonly #etcd: SimulatedEtcd;
  readonly #contenders: SimulatedContender[];
  readonly #kinds: readonly FaultKind[];
  readonly #meddles: boolean;
  readonly #faultGapMaxMs: number;
  /** Of every message, also between faults. */
  readonly #slowChance: number;
  #pushed = 0;
  #faultsOn = true;
  #actedEpoch = 0;
  #becameEpoch = 0;
  #writtenEpoch = 0;
  /** Epoch → when its key went away. */
  readonly #keyGoneMs = new Map<number, number>();
  #keyEpoch: number | null = null;

  constructor(seed: number) {
    this.#tie = randomStream(seed, 'tie');
    this.#random = randomStream(seed, 'faults');
    const configuration = randomStream(seed, 'configuration');
    this.#etcd = new SimulatedEtcd(this, randomStream(seed, 'network'));
    const drifts = configuration.chance(0.5);
    const marginMs = drifts ? leaderElectionDefaults.marginMs : narrowMarginMs;
    this.#contenders = Array.from({ length: configuration.between(2, 4) }, (_, index) => {
      const rate = drifts ? 1 + driftMax * (2 * configuration.next() - 1) : 1;
      const random = randomStream(seed, `contender ${index}`);
      const around = { world: this, etcd: this.#etcd, random, marginMs };
      return new SimulatedContender(`manager-${index}`, around, { rate, wallJumpMs: 0 }, this);
    });
    this.#meddles = configuration.chance(0.15);
    // Some seeds have few kinds of faults: uniform mixtures hide bugs.
    const kinds = faultKinds.filter(() => configuration.chance(0.5));
    this.#kinds = this.#meddles ? [...kinds, 'meddle', 'meddle', 'meddle'] : kinds;
    this.#faultGapMaxMs = configuration.pick([1_500, 6_000]);
    this.#slowChance = configuration.pick([0, 0, 0.1, 0.5]);
    this.#etcd.faults.slowChance = this.#slowChance;
  }

  later(delayMs: number, run: () => void): void {
    const number = this.#pushed++;
    this.#queue.push({ atMs: this.nowMs + delayMs, tie: this.#tie.next(), number, label: '', run });
  }

  run(): void {
    for (const contender of this.#contenders) this.later(this.#random.between(0, 500), () => contender.start());
    this.#faultLater();
    this.#until(faultyMs);
    this.#heal();
    this.#until(faultyMs + leaseTtlMs + healBoundMs);
    const leader = this.#contenders.find(({ epoch }) => epoch !== null);
    if (leader === undefined) throw new Violation('nobody leads although everything is healed');
    const { epoch } = leader;
    this.#until(faultyMs + leaseTtlMs + healBoundMs + calmMs);
    if (leader.epoch !== epoch) throw new Violation(`${leader.name} lost the lead in calm weather`);
  }

  became(contender: SimulatedContender, epoch: number): void {
    this.#note(`${contender.name} leads in epoch ${epoch}`);
    // Who won a key that was deleted by hand may hear of it after another has won.
    if (epoch <= this.#becameEpoch && !this.#meddles)
      throw new Violation(`${contender.name} leads in epoch ${epoch} after ${this.#becameEpoch}`);
    this.#becameEpoch = epoch;
  }

  lost(contender: SimulatedContender, reason: string): void {
    this.#note(`${contender.name} leads no more: ${reason}`);
    if (reason.includes('not renewed')) this.sights.add('leader_stopped_by_itself');
    if (reason.includes('gone') || reason.includes('has taken')) this.sights.add('leader_lost_its_key');
    if (reason.includes('resigned')) this.sights.add('leader_resigned');
  }

  acted(contender: SimulatedContender, epoch: number): void {
    const goneMs = this.#keyGoneMs.get(epoch);
    if (this.#meddles) {
      if (goneMs === undefined || this.nowMs - goneMs <= leaseTtlMs) return;
      throw new Violation(`${contender.name} acts in epoch ${epoch} longer than a lease after its key is gone`);
    }
    if (goneMs !== undefined) throw new Violation(`${contender.name} acts in epoch ${epoch} after its key is gone`);
    if (epoch < this.#actedEpoch) {
      throw new Violation(`${contender.name} acts in epoch ${epoch} after another acted in ${this.#actedEpoch}`);
    }
    this.#actedEpoch = epoch;
  }

  wrote(epoch: number, accepted: boolean): void {
    if (!accepted) {
      this.sights.add('stale_write_refused');
      return;
    }
    if (epoch < this.#writtenEpoch)
      throw new Violation(`etcd took a write of epoch ${epoch} after ${this.#writtenEpoch}`);
    this.#writtenEpoch = epoch;
  }

  #until(endMs: number): void {
    this.later(endMs - this.nowMs, () => undefined);
    while (this.nowMs < endMs) {
      const event = this.#queue.pop();
      if (event === null) return;
      this.nowMs = Math.max(this.nowMs, event.atMs);
      event.run();
      this.#lookAtKey();
    }
  }

  #lookAtKey(): void {
    const read = { when: [], apply: [{ kind: 'get' as const, key: leaderKeyOf(clusterPrefix) }], otherwise: [] };
    const epoch = this.#etcd.model.transact(read).found[0]?.[0]?.createRevision ?? null;
    if (epoch === this.#keyEpoch) return;
    if (this.#keyEpoch !== null) this.#keyGoneMs.set(this.#keyEpoch, this.nowMs);
    this.#keyEpoch = epoch;
    this.#note(`the key is of epoch ${epoch}`);
  }

  #faultLater(): void {
    this.later(this.#random.between(100, this.#faultGapMaxMs), () => {
      if (!this.#faultsOn) return;
      if (this.#kinds.length > 0) this.#fault(this.#random.pick(this.#kinds));
      this.#faultLater();
    });
  }

  #fault(kind: FaultKind): void {
    const random = this.#random;
    const leader = this.#contenders.find(({ epoch }) => epoch !== null);
    // Leaders are the interesting ones.
    const victim = leader !== undefined && random.chance(0.6) ? leader : random.pick(this.#contenders);
    const spellMs = random.pick([random.between(50, 1_000), random.between(2_000, 12_000)]);
    this.#note(`${kind} ${victim.name} for ${spellMs} ms`);
    const afterwards = (undo: () => void): void => this.later(spellMs, undo);
    switch (kind) {
      case 'pause':
        if (victim === leader && spellMs > leaseTtlMs) this.sights.add('paused_leader_came_back');
        victim.pausedUntilMs = this.nowMs + spellMs;
        return;
      case 'crash':
      case 'resign':
        if (kind === 'crash' && victim === leader) this.sights.add('leader_crashed');
        if (kind === 'crash') victim.crash();
        else victim.run(() => this.#faultsOn && victim.resign());
        return afterwards(() => {
          if (!victim.alive) victim.start();
        });
      case 'cut':
        if (random.chance(0.5)) this.#etcd.breakWatches(victim);
        victim.cut.outward = random.chance(0.7);
        victim.cut.inward = !victim.cut.outward || random.chance(0.5);
        return afterwards(() => Object.assign(victim.cut, { outward: false, inward: false }));
      case 'loss':
        this.#etcd.faults.lossChance = random.pick([0.05, 0.3, 0.7]);
        return afterwards(() => (this.#etcd.faults.lossChance = 0));
      case 'slow':
        this.#etcd.faults.slowChance = random.pick([0.1, 0.6]);
        return afterwards(() => (this.#etcd.faults.slowChance = this.#faultsOn ? this.#slowChance : 0));
      case 'unreachable':
        this.#etcd.unreachable = true;
        return afterwards(() => (this.#etcd.unreachable = false));
      case 'down':
        this.sights.add('etcd_stepped_away');
        this.#etcd.stop();
        return afterwards(() => this.#etcd.start());
      case 'wall-jump':
        victim.clock.wallJumpMs += random.pick([-3_600_000, -7_000, 7_000, 3_600_000]);
        return;
      case 'compact':
        return this.#etcd.apply((model) => {
          if (!this.#etcd.down && model.revision > model.compacted) model.compact(model.revision);
        });
      case 'meddle':
        return this.#meddle();
    }
  }

  #meddle(): void {
    if (this.#etcd.down || this.#keyEpoch === null) return;
    this.sights.add('meddled_with_key');
    const key = leaderKeyOf(clusterPrefix);
    this.#etcd.apply((model) => {
      const [found = []] = model.transact({ when: [], apply: [{ kind: 'get', key }], otherwise: [] }).found;
      if (this.#random.chance(0.5)) model.revokeLease(found[0]?.leaseId ?? '');
      else model.transact({ when: [], apply: [{ kind: 'delete', key }], otherwise: [] });
    });
  }

  #heal(): void {
    this.#note('healed');
    this.#faultsOn = false;
    Object.assign(this.#etcd.faults, { lossChance: 0, slowChance: 0 });
    this.#etcd.unreachable = false;
    this.#etcd.start();
    for (const contender of this.#contenders) {
      Object.assign(contender.cut, { outward: false, inward: false });
      contender.pausedUntilMs = this.nowMs;
      if (!contender.alive) contender.start();
    }
  }

  #note(text: string): void {
    const line = `${Math.round(this.nowMs)} ${text}`;
    this.traceHash = mixText(this.traceHash, line);
    this.trace.push(line);
  }
}

/** Runs one seed. What is wrong is told, never thrown. */
export function runLeadership(seed: number): LeadershipRun {
  const simulation = new LeadershipSimulation(seed);
  let violation: string | null = null;
  try {
    simulation.run();
  } catch (error) {
    violation =
      error instanceof Violation ? error.message : `thrown: ${error instanceof Error ? error.stack : String(error)}`;
  }
  const { sights, traceHash, trace } = simulation;
  return { violation, sights, traceHash, trace };
}
