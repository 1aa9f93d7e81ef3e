import { describe, expect, test } from 'vitest';
import { EngineError, errorCodes, fromWireError, toWireError } from '../../core/errors.ts';
import { errorText, isUserFrame } from './error-text.ts';
import { remedyOf } from './remedies.ts';

const options = { engineDirectory: '/app/node_modules/millrace', workingDirectory: '/app' };

function withStack<T extends Error>(error: T, frames: readonly string[]): T {
  error.stack = [`${error.name}: ${error.message}`, ...frames.map((frame) => `    at ${frame}`)].join('\n');
  return error;
}

describe('errorText', () => {
  test('puts what happened first and what to do last when the message has both', () => {
    const lines = errorText(
      new EngineError('USAGE', 'no such file → check the path', { ids: { file: '/x/job.ts' } }),
      options,
    ).split('\n');
    expect(lines[0]).toBe('error: no such file');
    expect(lines.join('\n')).toMatch(/file +\/x\/job\.ts/);
    expect(lines.at(-1)).toBe('→ check the path');
  });

  test('takes the remedy of the code when the message has none', () => {
    expect(errorText(new EngineError('STORAGE_FULL', 'disk is full'), options).split('\n').at(-1)).toBe(
      `→ ${remedyOf('STORAGE_FULL')}`,
    );
  });

  test('keeps only frames of the user when a function of the job failed, also after it crossed threads', () => {
    const frames = [
      'parse (/app/src/parse.ts:12:5)',
      'Chain.run (file:///app/node_modules/millrace/dist/runtime/chain.js:3:1)',
      'JSON.parse (<anonymous>)',
      'process.processTicksAndRejections (node:internal/process/task_queues:95:5)',
      'async load (/app/node_modules/csv/index.js:1:2)',
    ];
    const cause = withStack(new TypeError('x is undefined'), frames);
    const error = new EngineError('USER_FUNCTION_FAILED', "the function of operator 'parse' threw", {
      ids: { operator: 'parse', subtask: 3 },
      cause,
    });
    const text = errorText(fromWireError(toWireError(withStack(error, frames.slice(1)))), options);
    expect(text).toContain('caused by TypeError: x is undefined');
    expect(text).toContain('at parse (src/parse.ts:12:5)');
    expect(text).toMatch(/subtask +3/);
    for (const word of ['chain.js', 'node:internal', '<anonymous>', 'csv']) expect(text).not.toContain(word);
  });

  test('shows the whole stack when the error is one of the engine', () => {
    const error = withStack(new EngineError('INTERNAL', 'broken', { domain: 'internal' }), [
      'f (file:///app/node_modules/millrace/dist/core/x.js:1:1)',
    ]);
    expect(errorText(error, options)).toContain('dist/core/x.js:1:1');
  });

  test('ends when an error is its own cause', () => {
    const error = new Error('loop');
    error.cause = error;
    expect(errorText(new EngineError('INTERNAL', 'outer', { cause: error }), options)).toContain(
      'caused by Error: loop',
    );
  });
});

describe('isUserFrame', () => {
  test('takes examples of the engine repository as the user and its own folders as the engine', () => {
    expect(isUserFrame('at f (/repo/examples/job.ts:1:1)', '/repo')).toBe(true);
    expect(isUserFrame('at f (/repo/runtime/chain.ts:1:1)', '/repo')).toBe(false);
    expect(isUserFrame('at async /repo/dist/runtime/chain.js:1:1', '/repo')).toBe(false);
    expect(isUserFrame('at /home/me/job.ts:1:1', '/repo')).toBe(true);
  });
});

test('every error code has a remedy', () => {
  for (const code of errorCodes) expect(remedyOf(code).length, code).toBeGreaterThan(10);
});
