/** Subtasks leave after the checkpoint of their end, also when the next checkpoint is triggered in the same breath. */
import { expect, test } from 'vitest';
import { defineJob } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { planForTest } from '../../testing/kit/job-parts.ts';
import { VirtualAttempt } from '../../testing/kit/virtual-attempt.ts';
import { VirtualScheduler } from '../../testing/kit/virtual-scheduler.ts';

const job = defineJob('leaving', (env) => {
  env
    .from(collection([1, 2, 3]), { uid: 'numbers' })
    .keyBy((n) => n % 2)
    .reduce((left, right) => left + right)
    .uid('sums')
    .collect('out')
    .uid('out');
});

test.each([1, 2])(
  'every subtask finishes when a checkpoint follows each that completes without a step between at parallelism %i',
  async (parallelism) => {
    const scheduler = new VirtualScheduler(0);
    const attempt = new VirtualAttempt({
      job: planForTest(job, { parallelism }),
      attempt: 1,
      restore: null,
      nextCheckpointId: 1,
      scheduler,
      backend: 'memory',
      checkImmutability: true,
      onDelivery: () => {},
    });
    await attempt.start();
    let checkpoints = 0;
    for (let turn = 0; turn < 5_000 && !attempt.allFinished; turn++) {
      if (attempt.failure !== null) throw attempt.failure.error;
      if (attempt.checkpointAcknowledged) attempt.complete();
      if (attempt.allEnded && !attempt.checkpointPending) {
        attempt.trigger();
        checkpoints++;
      }
      scheduler.step();
      scheduler.encode();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(attempt.allFinished).toBe(true);
    expect(checkpoints).toBeLessThan(5);
    await attempt.close();
  },
);
