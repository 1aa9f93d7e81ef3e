import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeSavepoint, encodeSavepoint, savepointPath } from './savepoint-document.ts';

const object = { name: 'o', sha256: 'aa', bytes: 1 };
const document = {
  jobId: 'orders-0123abcd',
  jobName: 'orders',
  graphHash: 'h',
  graph: object,
  engineVersion: '0.1.0',
  checkpointId: 7,
  attempt: 2,
  createdAtMs: 1_000,
  maxParallelism: 128,
  manifest: object,
};
const path = savepointPath(document);

test('a savepoint is read as it was written', () => {
  expect(path).toBe('orders-0123abcd/savepoints/2-7.savepoint');
  expect(decodeSavepoint(encodeSavepoint(document), path)).toEqual(document);
});

test('a savepoint of which a bit was flipped or the end is missing is refused', () => {
  const whole = encodeSavepoint(document);
  const refused = (bytes: Uint8Array): void => {
    expect(() => decodeSavepoint(bytes, path)).toThrow(expect.objectContaining({ code: 'SAVEPOINT_UNREADABLE' }));
  };
  for (let at = 0; at < whole.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bytes = Uint8Array.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
      refused(bytes);
    }
  }
  fc.assert(fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (length) => refused(whole.slice(0, length))));
});

test('a savepoint of a newer release says so', () => {
  const newer = Buffer.from(Buffer.from(encodeSavepoint(document)).toString().replace('savepoint 1 ', 'savepoint 2 '));
  expect(() => decodeSavepoint(newer, path)).toThrow(/has format 2, this release reads 1\.\.1/);
});
