import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anyString, anyValue, difference, objectOf } from './arbitraries.test.support.ts';
import { ownString, ownValue } from './own.ts';

describe('ownString', () => {
  test('copy has the same units', () => {
    fc.assert(
      fc.property(anyString, fc.nat({ max: 5 }), (text, start) => {
        expect(ownString(text.slice(start))).toBe(text.slice(start));
      }),
    );
    for (const text of ['x'.repeat(16 * 1024 + 1), '漢\ud800'.repeat(20_000)]) expect(ownString(text)).toBe(text);
  });
});

describe('ownValue', () => {
  test('copy is the same value', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(difference(ownValue(value), value)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test('value itself is returned when it holds nothing to copy', () => {
    for (const value of [
      1,
      'short',
      null,
      { a: 1, b: ['x', { c: new Date(0) }] },
      new Map([['k', 1]]),
      new Set([1]),
      Uint8Array.of(1),
    ]) {
      expect(ownValue(value)).toBe(value);
    }
  });

  test('only what changes is copied', () => {
    const kept = { a: 1 };
    const value = { kept, text: 'x'.repeat(20) };
    const copy = ownValue(value);
    expect(copy).not.toBe(value);
    expect(copy.kept).toBe(kept);
  });

  test('bytes that are a view of a larger buffer are copied', () => {
    const large = new Uint8Array(1000).fill(7);
    const copy = ownValue({
      bytes: large.subarray(1, 3),
      floats: new Float32Array(large.buffer, 8, 2),
      buffer: Buffer.from('abc'),
    });
    expect(copy.bytes).toEqual(Uint8Array.of(7, 7));
    expect([copy.bytes.buffer.byteLength, copy.floats.buffer.byteLength, copy.buffer.buffer.byteLength]).toEqual([
      2, 8, 3,
    ]);
  });

  test('__proto__ stays data', () => {
    const copy = ownValue(
      objectOf([
        ['__proto__', 'y'.repeat(20)],
        ['b', 'z'.repeat(20)],
      ]),
    );
    expect(Object.getOwnPropertyDescriptor(copy, '__proto__')?.value).toBe('y'.repeat(20));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
  });
});

describe('slice trap', () => {
  /** Decodes 200 frames in a process with a collector to call, keeps one string of each, and prints heap bytes per kept string. */
  function heapPerKept(keep: string): number {
    const program = fileURLToPath(new URL('./own-heap.test.support.ts', import.meta.url));
    const script = `import('esbuild').then(async (esbuild) => {
      const built = await esbuild.build({ entryPoints: [${JSON.stringify(program)}], bundle: true, write: false, format: 'esm', platform: 'node' });
      await import('data:text/javascript;base64,' + Buffer.from(built.outputFiles[0].contents).toString('base64'));
    });`;
    const run = spawnSync(process.execPath, ['--expose-gc', '-e', script, keep], {
      encoding: 'utf8',
      env: { ...process.env, KEEP: keep },
      cwd: fileURLToPath(new URL('../../', import.meta.url)),
    });
    expect(run.stderr).toBe('');
    return Number(run.stdout);
  }

  test('kept string holds its own bytes only when it was copied', () => {
    expect(heapPerKept('ownString')).toBeLessThan(250);
  });

  test('kept record holds its own bytes only when it was copied', () => {
    expect(heapPerKept('ownValue')).toBeLessThan(500);
  });

  test('kept string pins its column when it was not copied, so the bound above means something', () => {
    expect(heapPerKept('nothing')).toBeGreaterThan(10_000);
  });
});
