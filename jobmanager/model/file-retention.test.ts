import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Manifest } from '../../proto/messages.ts';
import { FileRetention, type RetainedCheckpoint } from './file-retention.ts';

const checkpoint = (checkpointId: number): RetainedCheckpoint => {
  return { checkpointId, manifest: { name: `own/m${checkpointId}`, sha256: 'x', bytes: 1 } };
};
const manifest = (...names: readonly string[]): Manifest => {
  const files = names.map((name) => {
    const file = { object: { name, sha256: 'x', bytes: 1 }, rows: 0, keyGroupFirst: 0, keyGroupLast: 0 };
    return { file, base: false, checkpointId: 1 };
  });
  return { files } as unknown as Manifest;
};

/** A checkpoint completes as the coordinator lets it: what is pinned is decided before, and told afterwards. */
function complete(retention: FileRetention, id: number, pin: boolean, files: readonly string[]): string[] {
  const next = checkpoint(id);
  const pinned = retention.pinnedWith(pin ? next : null).map(({ checkpointId }) => checkpointId);
  return retention.completed(next, manifest(...files), pinned);
}

test('no file of a pinned checkpoint is given up until it is unpinned, and then exactly what nothing else names', () => {
  const step = fc.record({
    files: fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 5 }),
    pin: fc.boolean(),
    unpin: fc.option(fc.integer({ min: 1, max: 20 })),
  });
  const steps = fc.array(step, { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), steps, (retainedMax, all) => {
      const retention = new FileRetention(retainedMax, 'own/');
      const named = new Map<number, readonly string[]>();
      let pinned = new Set<number>();
      let before = new Set<string>();
      all.forEach(({ files, pin, unpin }, index) => {
        const id = index + 1;
        const names = files.map((file) => `own/f${file}`);
        named.set(id, [`own/m${id}`, ...names]);
        if (unpin !== null && pinned.has(unpin)) {
          retention.unpin(unpin);
          pinned = new Set([...pinned].filter((one) => one !== unpin));
        }
        if (pin) pinned.add(id);
        const gone = new Set(complete(retention, id, pin, names));
        const retained = [...named.keys()].filter((one) => one > id - retainedMax);
        const needed = new Set([...retained, ...pinned].flatMap((one) => named.get(one) ?? []));
        // Everything that was needed and is not any more, and nothing else.
        expect(gone).toEqual(new Set([...before].filter((name) => !needed.has(name))));
        before = needed;
      });
    }),
  );
});

test('a savepoint that is given up while a pointer is being set goes with the next one', () => {
  const retention = new FileRetention(1);
  complete(retention, 1, true, ['a']);
  const pinnedByTwo = retention.pinnedWith(null).map(({ checkpointId }) => checkpointId);
  retention.unpin(1);
  expect(retention.completed(checkpoint(2), manifest('b'), pinnedByTwo)).toEqual([]);
  expect(complete(retention, 3, false, ['c']).sort()).toEqual(['a', 'b', 'own/m1', 'own/m2']);
});

test('files of another job are never given up', () => {
  const retention = new FileRetention(1, 'own/');
  complete(retention, 1, false, ['other/base', 'own/a']);
  expect(complete(retention, 2, false, ['own/b']).sort()).toEqual(['own/a', 'own/m1']);
  expect(retention.deletable(['other/base', 'own/garbage'])).toEqual(['own/garbage']);
});

test('nothing is given up while it is not known what a savepoint names', () => {
  const retention = new FileRetention(1, 'own/');
  retention.restorePinned(checkpoint(1), null);
  complete(retention, 2, false, ['own/a']);
  expect(complete(retention, 3, false, ['own/b'])).toEqual([]);
  expect(retention.pinnedWith(null)).toEqual([checkpoint(1)]);
});
