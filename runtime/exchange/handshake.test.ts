import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEngineError } from '../../core/errors.ts';
import {
  checkHello,
  dataPlaneProtocolVersion,
  decodeHello,
  decodeRefusal,
  decodeWelcome,
  encodeHello,
  encodeRefusal,
  encodeWelcome,
} from './handshake.ts';

const identity = { clusterId: 'secret', jobName: 'späte Züge', attempt: 7 };

describe('handshake', () => {
  it('welcomes a slot when cluster, job, attempt and address agree', () => {
    const hello = decodeHello(encodeHello(identity, 3, 5));
    expect(hello).toMatchObject({
      version: dataPlaneProtocolVersion,
      jobName: 'späte Züge',
      attempt: 7,
      from: 3,
      to: 5,
    });
    expect(checkHello(hello, identity, 5)).toBe(null);
  });

  it('does not send the secret', () => {
    expect(Buffer.from(encodeHello(identity, 3, 5)).includes('secret')).toBe(false);
  });

  it.each([
    ['cluster', { ...identity, clusterId: 'guess' }, 5, 'PROTOCOL', /^wrong cluster$/],
    ['job', { ...identity, jobName: 'other' }, 5, 'PROTOCOL', /not for "other"/],
    ['older attempt', { ...identity, attempt: 6 }, 5, 'STALE_EPOCH', /attempt 6, which is over/],
    ['newer attempt', { ...identity, attempt: 8 }, 5, 'STALE_EPOCH', /attempt 8, which has not begun here/],
    ['slot', identity, 4, 'PROTOCOL', /this is slot 4, not slot 5/],
  ] as const)('refuses a slot when its %s differs', (_, peer, self, code, reason) => {
    const refusal = checkHello(decodeHello(encodeHello(peer, 3, 5)), identity, self);
    expect(refusal).toEqual({ code, reason: expect.stringMatching(reason) });
  });

  it('refuses a slot when its release speaks another version', () => {
    const hello = { ...decodeHello(encodeHello(identity, 3, 5)), version: dataPlaneProtocolVersion + 1 };
    expect(checkHello(hello, identity, 5)).toEqual({
      code: 'PROTOCOL',
      reason: expect.stringMatching(/run one release everywhere/),
    });
  });

  it('carries credit and refusals', () => {
    expect(decodeWelcome(encodeWelcome(1_048_576))).toBe(1_048_576);
    const refusal = { code: 'STALE_EPOCH' as const, reason: 'attempt 3\nis over' };
    expect(decodeRefusal(encodeRefusal(refusal))).toEqual(refusal);
  });

  it('throws nothing but PROTOCOL when it is fed random bytes', () => {
    const decoders = [decodeHello, decodeWelcome, decodeRefusal];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...decoders), (bytes, decode) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(isEngineError(error) && error.code).toBe('PROTOCOL');
        }
      }),
    );
    expect(() => decodeHello(encodeHello(identity, 1, 2).subarray(0, 50))).toThrow(
      expect.objectContaining({ code: 'PROTOCOL' }),
    );
  });
});
