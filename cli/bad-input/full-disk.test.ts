/**
 * No room for the state. The limit on the size of a file stands in for a full disk: it fails the same writes in the same
 * places and needs no privileges. (On a real file system the code is ENOSPC, which takes the same way.)
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

const total = 400;

test('a run fails by name when its state has no room, and loses nothing when there is room again', async () => {
  // A kilobyte of state for each number: the first checkpoints fit, the later ones do not.
  project.writeJob(`  env.from(generator({ count: ${total}, ratePerSecond: 1_000, make: (n) => n }), { uid: 'numbers' })
    .keyBy((n) => n).process(emits<number>(), {
      state: { kept: valueState<string>() },
      onRecord(n, context) { context.state.kept.update(String(n).repeat(400)); context.emit(n); },
    }).uid('keeper').to(files.jsonl('out')).uid('results');`);
  expectRefusal(
    await project.runWithFileLimit(64, '--max-restarts', '0', '--checkpoint-interval', '200ms'),
    /error: cannot \w+ \S+state\/storage\S+: [\s\S]*STORAGE_FULL[\s\S]*\n→ make room/,
  );
  expectFinished(await project.run());
  expect(await project.results()).toEqual(Array.from({ length: total }, (_, n) => String(n)).sort());
});
