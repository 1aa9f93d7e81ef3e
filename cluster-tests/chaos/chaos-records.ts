/** The records of the chaos job, a pure function of partition and number, and what must come of them. */
export interface ChaosRecord {
  partition: number;
  seq: number;
  key: string;
  time: number;
  amount: number;
  late: boolean;
}

export const csvPartitions = [0, 1] as const;
export const jsonlPartition = 2;
export const generatorPartition = 3;
export const keyCount = 97;

const startMs = Date.UTC(2024, 0, 1);
const stepMs = 100;
const jitterMs = 4_000;
const lateEvery = 501;
const lateByMs = 600_000;
const minuteMs = 60_000;

/** Records come up to 4 s out of order, less than the job allows; every 501st comes 10 minutes late once that is possible. */
export function chaosRecord(partition: number, seq: number): ChaosRecord {
  const mixed = Math.imul(seq + 1, 2_654_435_761) ^ Math.imul(partition + 7, 40_503);
  const chance = (mixed ^ (mixed >>> 15)) >>> 0;
  const late = seq % lateEvery === lateEvery - 1 && seq * stepMs > 2 * lateByMs;
  const time = startMs + seq * stepMs - (chance % jitterMs) - (late ? lateByMs : 0);
  return { partition, seq, key: `key-${chance % keyCount}`, time, amount: chance % 1_000, late };
}

/** Committed lines of each sink, sorted; CSV without its header lines. */
export interface ChaosResults {
  readonly named: string[];
  readonly minutes: string[];
  readonly windows: string[];
  readonly late: string[];
}

export const chaosOutputs = ['named', 'minutes', 'windows', 'late'] as const;
export const minutesHeader = 'key,minute,count,amount';

/** @param counts records of each partition, by number */
export function expectedResults(counts: readonly number[]): ChaosResults {
  const named: string[] = [];
  const late: string[] = [];
  const totals = new Map<string, { key: string; minute: number; count: number; amount: number }>();
  counts.forEach((count, partition) => {
    for (let seq = 0; seq < count; seq++) {
      const record = chaosRecord(partition, seq);
      named.push(JSON.stringify({ partition, seq, name: nameOf(record.key) }));
      if (record.late) late.push(JSON.stringify({ partition, seq }));
      else addTo(totals, record);
    }
  });
  const all = [...totals.values()];
  return {
    named: named.sort(),
    minutes: all.map(({ key, minute, count, amount }) => `${key},${minute},${count},${amount}`).sort(),
    windows: all.map((total) => JSON.stringify(total)).sort(),
    late: late.sort(),
  };
}

export function nameOf(key: string): string {
  return `name of ${key}`;
}

function addTo(totals: Map<string, { key: string; minute: number; count: number; amount: number }>, record: ChaosRecord): void {
  const minute = Math.floor(record.time / minuteMs) * minuteMs;
  const id = `${record.key} ${minute}`;
  const total = totals.get(id) ?? { key: record.key, minute, count: 0, amount: 0 };
  total.count++;
  total.amount += record.amount;
  totals.set(id, total);
}
