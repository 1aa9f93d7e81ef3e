/**
 * Checks q12 under a clock that is told when to go: windows of the clock differ from run to run, so the job runs in
 * `millrace/testing`, and the clock moves on by steps of a fixed random sequence while events are read. Whoever knows the
 * clock of each event can count its bids by hand.
 */
import { generated, runJob } from 'millrace/testing';
import { firstEventTimeMs } from '../defaults.ts';
import { EventMaker } from '../event-maker.ts';
import job from '../job.ts';
import { isBid } from '../model.ts';
import type { EventRun } from './event-tables.ts';

/** No divisor of anything: steps fall between any events of a batch, and at any place of a window. */
const eventsBetweenSteps = 997;
const stepMsMax = 4_000;
const windowMs = 10_000;

/** By how much the clock moves on before an event; now and then over whole windows. */
export function clockStepMs(index: number): number {
  if (index === 0 || index % eventsBetweenSteps !== 0) return 0;
  const mixed = Math.imul(index ^ 0x9e3779b9, 2654435761) >>> 0;
  return (mixed % 16 === 0 ? 3 * windowMs : 0) + ((mixed >>> 8) % stepMsMax);
}

/** What is wrong with the rows of q12; null when nothing is. */
export async function checkQ12({ events, rate, splits }: EventRun): Promise<string | null> {
  const maker = (): EventMaker =>
    new EventMaker({ seed: 1, baseTimeMs: firstEventTimeMs, interEventDelayUs: 1e6 / rate, firstEventId: 0 });
  const read = maker();
  const result = await runJob(job, {
    parameters: { query: 'q12', events, rate },
    inputs: { nexmark: generated(events, (index) => read.make(index), { advanceTimeMs: clockStepMs }) },
    parallelism: splits,
    startTimeMs: firstEventTimeMs,
    checkImmutability: false,
  });
  return differenceOf(countByHand(maker(), events), result.outputs<Q12Row>('nexmark.result'));
}

/** A row of q12. */
export interface Q12Row {
  readonly bidder: number;
  readonly bids: number;
  readonly windowStart: number;
  readonly windowEnd: number;
}

const textOf = ({ bidder, windowStart, windowEnd, bids }: Q12Row): string =>
  `bidder ${bidder} in ${windowStart} to ${windowEnd}: ${bids}`;

function countByHand(maker: EventMaker, events: number): Q12Row[] {
  const rows = new Map<string, Q12Row>();
  let nowMs = firstEventTimeMs;
  for (let index = 0; index < events; index++) {
    nowMs += clockStepMs(index);
    const event = maker.make(index);
    if (!isBid(event)) continue;
    const windowStart = nowMs - (nowMs % windowMs);
    const key = `${event.bidder} ${windowStart}`;
    const { bids } = rows.get(key) ?? { bids: 0 };
    rows.set(key, { bidder: event.bidder, windowStart, windowEnd: windowStart + windowMs, bids: bids + 1 });
  }
  return [...rows.values()];
}

/** How rows differ as multisets; null when they do not. */
export function differenceOf(expected: readonly Q12Row[], actual: readonly Q12Row[]): string | null {
  const left = new Map<string, number>();
  for (const row of expected) left.set(textOf(row), 1);
  const surplus: string[] = [];
  for (const text of actual.map(textOf)) if (!left.delete(text)) surplus.push(text);
  if (left.size === 0 && surplus.length === 0) return null;
  const shown = (texts: readonly string[]): string =>
    texts.length === 0 ? 'nothing' : `${texts.length}, such as ${texts.slice(0, 3).join('; ')}`;
  return `missing: ${shown([...left.keys()])}; too many: ${shown(surplus)}`;
}
