import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Manifest } from '../../../proto/messages.ts';
import { FileRetention } from '../file-retention.ts';

/** In Flink incremental state was lost because a file was dropped that a newer checkpoint still referred to (FLINK-26985 too). */
test('a file is given up exactly when the last retained manifest that names it is', () => {
  const checkpoints = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 6 }), {
    minLength: 1,
    maxLength: 30,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), checkpoints, (retainedMax, fileSets) => {
      const retention = new FileRetention(retainedMax);
      const manifestOf = (files: readonly number[]): Manifest => {
        const entries = files.map((file) => {
          const object = { name: `f${file}`, sha256: 'x', bytes: 1 };
          return { file: { object, rows: 0, keyGroupFirst: 0, keyGroupLast: 0 }, base: false, checkpointId: 1 };
        });
        return { files: entries } as unknown as Manifest;
      };
      fileSets.forEach((files, index) => {
        const checkpoint = { checkpointId: index + 1, manifest: { name: `m${index + 1}`, sha256: 'x', bytes: 1 } };
        const pointed = retention.retainedWith(checkpoint).map((one) => one.checkpointId);
        const gone = retention.completed(checkpoint, manifestOf(files));
        const first = Math.max(0, index + 1 - retainedMax);
        expect(pointed).toEqual(fileSets.map((_, id) => id + 1).slice(first, index + 1));
        const needed = new Set(
          fileSets
            .slice(first, index + 1)
            .flat()
            .map((file) => `f${file}`),
        );
        for (const name of gone) expect(needed.has(name)).toBe(false);
        for (const name of needed) expect(retention.isNamed(name)).toBe(true);
        if (first > 0) expect(gone).toContain(`m${first}`);
      });
    }),
  );
});
