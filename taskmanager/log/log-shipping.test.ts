import { expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import { LogBuffer } from '../../operations/log/log-buffer.ts';
import type { LogReport } from '../../proto/messages.ts';
import type { JobManagerGateway } from '../../proto/services.ts';
import { batchCharactersMax, LogShipping } from './log-shipping.ts';

const say = (logs: LogBuffer, text: string): void =>
  logs.add({ timeMs: 1, level: 'info', taskManagerId: null, jobId: null, text });

/** A leader that takes reports as it is told to. */
function leader(answer: (report: LogReport) => Promise<object> = async () => ({})) {
  const told: string[] = [];
  const gateway = {
    reportLogs: async (report: LogReport) => {
      const done = await answer(report);
      told.push(...report.lines.map(({ text }, index) => `${report.firstNumber + index} ${text}`));
      return done;
    },
  } as Partial<JobManagerGateway> as JobManagerGateway;
  return { told, gateway };
}

const refused = (retry: 'never' | 'backoff') => Promise.reject(new EngineError('PROTOCOL', 'no', { retry }));

test('lines are sent once, and again to a leader of another epoch', async () => {
  const logs = new LogBuffer();
  const { told, gateway } = leader();
  let epoch = 1;
  const shipping = new LogShipping(logs, () => ({ gateway, epoch, taskManagerId: 'tm' }));
  say(logs, 'a');
  say(logs, 'b');
  await shipping.ship();
  await shipping.ship();
  say(logs, 'c');
  await shipping.ship();
  expect(told.splice(0)).toEqual(['1 a', '2 b', '3 c']);
  epoch = 2;
  await shipping.ship();
  expect(told).toEqual(['1 a', '2 b', '3 c']);
});

test('lines wait while nobody leads or the leader does not answer, and are left out when they are refused for good', async () => {
  const logs = new LogBuffer();
  let retry: 'never' | 'backoff' | null = 'backoff';
  const { told, gateway } = leader(() => (retry === null ? Promise.resolve({}) : refused(retry)));
  let reader: { gateway: JobManagerGateway; epoch: number; taskManagerId: string } | null = null;
  const shipping = new LogShipping(logs, () => reader);
  say(logs, 'a');
  await shipping.ship();
  reader = { gateway, epoch: 1, taskManagerId: 'tm' };
  await shipping.ship();
  retry = null;
  await shipping.ship();
  expect(told.splice(0)).toEqual(['1 a']);
  retry = 'never';
  say(logs, 'b');
  await shipping.ship();
  retry = null;
  say(logs, 'c');
  await shipping.ship();
  expect(told).toEqual(['3 c']);
});

test('one batch is under way at a time, and a long log goes in several', async () => {
  const logs = new LogBuffer();
  const gates: (() => void)[] = [];
  const { told, gateway } = leader(() => new Promise((resolve) => gates.push(() => resolve({}))));
  const shipping = new LogShipping(logs, () => ({ gateway, epoch: 1, taskManagerId: 'tm' }));
  const text = 'x'.repeat(batchCharactersMax / 64);
  for (let count = 0; count < 65; count++) say(logs, text);
  const first = shipping.ship();
  await shipping.ship();
  expect(gates).toHaveLength(1);
  gates[0]?.();
  await first;
  expect(told).toHaveLength(64);
  const second = shipping.ship();
  gates[1]?.();
  await second;
  expect(told).toHaveLength(65);
});

test('what an older epoch has answered late does not hide lines from the new leader', async () => {
  const logs = new LogBuffer();
  const gates: (() => void)[] = [];
  const { told, gateway } = leader(() => new Promise((resolve) => gates.push(() => resolve({}))));
  let epoch = 1;
  const shipping = new LogShipping(logs, () => ({ gateway, epoch, taskManagerId: 'tm' }));
  say(logs, 'a');
  const first = shipping.ship();
  epoch = 2;
  gates[0]?.();
  await first;
  const second = shipping.ship();
  gates[1]?.();
  await second;
  expect(told).toEqual(['1 a', '1 a']);
});
