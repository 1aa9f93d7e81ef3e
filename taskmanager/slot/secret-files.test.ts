import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { defineJob, params, planJob } from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import type { ConnectorContext, Sink, SinkWriter } from '../../core/connector/index.ts';
import { EngineError, toWireError } from '../../core/errors.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { SecretFiles, secretMaxBytes } from './secret-files.ts';

const canary = 'can%ary "4711"';
const reference = (name: string): string => ['$', `{secret:${name}}`].join('');
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-secrets-'));
  writeFileSync(join(directory, 'password'), `${canary}\n`);
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('a secret file', () => {
  test('is read without the line feed at its end', () => {
    expect(new SecretFiles(directory).lookup('password').reveal()).toBe(canary);
  });

  test('that is missing, too large, a directory or no text is refused by name, and so is a path', () => {
    writeFileSync(join(directory, 'large'), 'x'.repeat(secretMaxBytes + 1));
    writeFileSync(join(directory, 'bytes'), Buffer.of(0xff, 0xfe));
    mkdirSync(join(directory, 'inner'));
    const files = new SecretFiles(directory);
    const invalid = (text: string) =>
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(text) });
    expect(() => files.lookup('none')).toThrow(invalid('"none" cannot be read: ENOENT'));
    expect(() => files.lookup('large')).toThrow(invalid('"large" has 65537 bytes'));
    expect(() => files.lookup('inner')).toThrow(invalid('"inner" cannot be read: EISDIR'));
    expect(() => files.lookup('bytes')).toThrow(invalid('it is not UTF-8'));
    expect(() => files.lookup('../password')).toThrow(invalid('is no name of a secret'));
    expect(() => new SecretFiles(null).lookup('password')).toThrow(invalid('give secretsDirectory'));
  });

  test('that was read is struck out of lines and errors, also as part of a URL or of JSON', () => {
    const files = new SecretFiles(directory);
    const cause = new EngineError('TRANSPORT_FAILED', `refused: ${canary}`, {
      ids: { url: `amqp://u:${encodeURIComponent(canary)}@h`, port: 1 },
    });
    const error = toWireError(new EngineError('INTERNAL', JSON.stringify({ password: canary }), { cause }));
    expect(files.hideInError(error)).toBe(error);
    files.lookup('password');
    const text = JSON.stringify(files.hideInError(error));
    expect(text).not.toContain('4711');
    expect(text).toContain('amqp://u:***@h');
    expect(files.hide(`login with ${canary}`)).toBe('login with ***');
  });
});

/** Connects to nothing, and fails with the URL it would connect to. */
function leakySink(url: string, seen: string[], fail: boolean): Sink<number> {
  return {
    type: 'sink',
    kind: 'test.leaky',
    options: { url },
    createWriter: (context: ConnectorContext): SinkWriter<number> => {
      const secret = context.secret(url);
      seen.push(secret.reveal());
      context.logger.warn(`connecting to ${secret}`);
      return {
        open: async () => undefined,
        write: () => {
          if (fail) throw new EngineError('TRANSPORT_FAILED', `cannot connect to ${secret}`, { domain: 'external' });
        },
        hasRoom: true,
        drained: async () => undefined,
        prepareCommit: async () => ({ committables: [], state: [] }),
        close: async () => undefined,
      };
    },
    createCommitter: null,
    destination: null,
    occupation: async () => null,
  };
}

describe('an option that refers to a secret', () => {
  const seen: string[] = [];
  const plan = (name: string, fail: boolean) =>
    planJob(
      defineJob('secretive', (env) => {
        const { password } = env.params({ password: params.string({ default: reference(name) }) });
        env.from(collection([1, 2, 3]), { uid: 'numbers' }).to(leakySink(`amqp://u:${password}@h`, seen, fail));
      }),
      {},
    );
  const start = async (name: string, fail: boolean): Promise<SlotHarness> => {
    seen.length = 0;
    return new SlotHarness({ job: plan(name, fail), secretOf: new SecretFiles(directory).lookup }).start();
  };

  test('gives the connector the value, and the graph and the parameters the reference', async () => {
    const { graph } = plan('password', false);
    expect(JSON.stringify(graph)).not.toContain('4711');
    expect(JSON.stringify(graph)).toContain(`amqp://u:${reference('password')}@h`);
    await (await start('password', false)).finish();
    expect(seen).toEqual([`amqp://u:${canary}@h`]);
  });

  test('leaves the value out of the failure of the connector', async () => {
    const failure: unknown = await (await start('password', true)).finish().then(
      () => null,
      (error: unknown) => error,
    );
    expect(inspect(failure, { depth: 9 })).toContain('cannot connect to ***');
    expect(inspect(failure, { depth: 9 })).not.toContain('4711');
  });

  test('fails the job by name when there is no such secret', async () => {
    await expect(start('missing', false).then((harness) => harness.finish())).rejects.toMatchObject({
      message: expect.stringContaining('"missing" cannot be read'),
    });
  });
});
