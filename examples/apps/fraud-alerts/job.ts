/**
 * Watches card transactions for one pattern of fraud: a small charge, to try the card, and soon after it a large one.
 * How small, how large and how soon is a rule, and rules change: each has a time from which it holds.
 *
 * Transactions wait in state until the watermark has reached their time. By then the rules up to that time are there, and
 * the transactions before it, so an alert depends on neither the order of reading nor restarts.
 *
 *     npx millrace run examples/apps/fraud-alerts/job.ts
 */
import { defineJob, emits, hours, mapState, outputTag, params, seconds, valueState } from 'millrace';
import { files } from 'millrace/files';

export interface Transaction {
  readonly id: string;
  readonly card: string;
  readonly cents: number;
  /** ISO 8601. */
  readonly at: string;
}

/** From `from` until the next rule: at most `smallCents`, then at least `largeCents`, no more than `withinSeconds` apart. */
export interface Rule {
  readonly from: string;
  readonly smallCents: number;
  readonly largeCents: number;
  readonly withinSeconds: number;
}

export interface Alert {
  readonly card: string;
  readonly small: string;
  readonly large: string;
  readonly cents: number;
  readonly at: string;
}

/** Large charges that come too late to be judged: somebody should look at them. */
const suspicious = outputTag<Transaction>('suspicious');

export default defineJob('fraud-alerts', (env) => {
  const { transactions, rules, output, suspiciousCents } = env.params({
    transactions: params.string({
      default: 'examples/apps/fraud-alerts/data/transactions.jsonl',
      description: 'JSON lines with id, card, cents and at',
    }),
    rules: params.string({
      default: 'examples/apps/fraud-alerts/data/rules.jsonl',
      description: 'JSON lines with from, smallCents, largeCents and withinSeconds, in order of from',
    }),
    output: params.string({ default: 'out/fraud-alerts', description: 'directory of the results' }),
    suspiciousCents: params.integer({ default: 20_000, description: 'a late charge of this much is set aside' }),
  });
  const ruleStream = env
    .from(files.jsonl<Rule>(rules), { uid: 'rules', parallelism: 1 })
    .withTimestamps((rule) => Date.parse(rule.from), { outOfOrderness: 0 })
    .uid('rule-times');

  const alerts = env
    .from(files.jsonl<Transaction>(transactions), { uid: 'transactions' })
    .withTimestamps((transaction) => Date.parse(transaction.at), { outOfOrderness: seconds(30) })
    .uid('transaction-times')
    .keyBy((transaction) => transaction.card)
    .connect(ruleStream.broadcast())
    .process(emits<Alert>(), {
      broadcastState: { rules: mapState<number, Rule>() },
      state: {
        // By time, then id: in this order they are judged.
        waiting: mapState<readonly [number, string], Transaction>(),
        small: valueState<Transaction>({ ttl: hours(1), time: 'event' }),
      },
      onRecord(transaction, { state, timers, timestamp, isLate, output }) {
        if (isLate) {
          if (transaction.cents >= suspiciousCents) output(suspicious, transaction);
          return;
        }
        state.waiting.set([timestamp, transaction.id], transaction);
        timers.registerEventTime(timestamp);
      },
      onBroadcast(rule, { broadcastState }) {
        broadcastState.rules.set(Date.parse(rule.from), rule);
      },
      onTimer(timestampMs, { key, state, broadcastState, emit }) {
        const rule = [...broadcastState.rules.entries()].filter(([from]) => from <= timestampMs).at(-1)?.[1];
        for (const [place, transaction] of state.waiting.entries()) {
          if (place[0] > timestampMs) return;
          state.waiting.delete(place);
          if (rule === undefined) continue;
          const { id, cents, at } = transaction;
          const small = state.small.value();
          const soon = small !== undefined && timestampMs - Date.parse(small.at) <= rule.withinSeconds * 1000;
          if (soon && cents >= rule.largeCents) emit({ card: key, small: small.id, large: id, cents, at });
          if (cents <= rule.smallCents) state.small.update(transaction);
        }
      },
    })
    .uid('pattern');
  alerts.to(files.jsonl(`${output}/alerts`)).uid('alerts');
  alerts
    .sideOutput(suspicious)
    .to(files.jsonl(`${output}/suspicious`))
    .uid('suspicious');
});
