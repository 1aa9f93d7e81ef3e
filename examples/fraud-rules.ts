/**
 * Card payments watched by rules that come as a stream of their own: a rule may be added while the job runs. Every
 * subtask has all rules (broadcast state); what an account has spent is keyed state. A rule that arrives is held against
 * the accounts there are, so an account is found whether its payments or the rule came first.
 *
 *     npx millrace run examples/fraud-rules.ts
 */
import { defineJob, emits, mapState, params } from 'millrace';
import { files } from 'millrace/files';

interface CardPayment {
  account: string;
  country: string;
  cents: number;
}

/** More than `cents` spent in `country`. */
interface Rule {
  rule: string;
  country: string;
  cents: number;
}

interface Alert {
  account: string;
  rule: string;
}

export default defineJob('fraud-rules', (env) => {
  const { payments, rules, output } = env.params({
    payments: params.string({
      default: 'examples/data/card-payments.jsonl',
      description: 'JSON lines with account, country and cents',
    }),
    rules: params.string({
      default: 'examples/data/fraud-rules.jsonl',
      description: 'JSON lines with rule, country and cents',
    }),
    output: params.string({ default: 'out/fraud-rules', description: 'directory of the alerts' }),
  });
  // One subtask reads the rules, so that every other gets them in the same order.
  const ruleStream = env.from(files.jsonl<Rule>(rules), { uid: 'rules', parallelism: 1 });

  env
    .from(files.jsonl<CardPayment>(payments), { uid: 'payments' })
    .keyBy((payment) => payment.account)
    .connect(ruleStream.broadcast())
    .process(emits<Alert>(), {
      broadcastState: { rules: mapState<string, Rule>() },
      state: { spent: mapState<string, number>() },
      onRecord({ country, cents }, { key, state, broadcastState, emit }) {
        const before = state.spent.get(country) ?? 0;
        state.spent.set(country, before + cents);
        for (const [name, rule] of broadcastState.rules.entries()) {
          const crossed = before <= rule.cents && before + cents > rule.cents;
          if (rule.country === country && crossed) emit({ account: key, rule: name });
        }
      },
      onBroadcast(rule, { broadcastState, forEachKey, emit }) {
        broadcastState.rules.set(rule.rule, rule);
        forEachKey('spent', (account, spent) => {
          if ((spent.get(rule.country) ?? 0) > rule.cents) emit({ account, rule: rule.rule });
        });
      },
    })
    .uid('alerts')
    .to(files.jsonl(output))
    .uid('results');
});
