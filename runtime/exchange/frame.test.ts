import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../core/codec/byte-sink.ts';
import { isEngineError } from '../../core/errors.ts';
import { type FrameKind, frameHeaderBytes, frameKind, type FrameOutput, FrameParser, FrameWriter } from './frame.ts';

class MemoryOutput extends ByteWriter implements FrameOutput {
  startFrame(): void {}
  frameWritten(): void {}
}

interface Frame {
  readonly channelId: number;
  readonly kind: FrameKind;
  readonly payload: Uint8Array;
}

const limits = { payloadMaxBytes: 1000, channelsMax: 4 };

function wireOf(frames: readonly Frame[]): Uint8Array {
  const output = new MemoryOutput();
  const writer = new FrameWriter(output);
  for (const { channelId, kind, payload } of frames) writer.frame(channelId, kind, payload);
  return output.take();
}

function parse(chunks: Iterable<Uint8Array>, parserLimits = limits): Frame[] {
  const frames: Frame[] = [];
  const parser = new FrameParser(parserLimits, {
    frame: (channelId, kind, payload) => void frames.push({ channelId, kind, payload }),
  });
  for (const chunk of chunks) {
    parser.push(chunk);
    // Sockets use their memory again: a frame must not point into it.
    chunk.fill(0xee);
  }
  return frames;
}

/** Cuts bytes at the given places, in order. */
function* cut(bytes: Uint8Array, cuts: readonly number[]): Iterable<Uint8Array> {
  let from = 0;
  for (const at of [...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    yield bytes.slice(from, at);
    from = at;
  }
}

const frameArbitrary = fc.record({
  channelId: fc.constantFrom(0, 1, 77, 0xffffffff),
  kind: fc.constantFrom(...Object.values(frameKind)),
  payload: fc.uint8Array({ maxLength: 200 }),
});

describe('frame parser', () => {
  it('gives the same frames when the bytes are cut anywhere', () => {
    fc.assert(
      fc.property(fc.array(frameArbitrary, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 30 }), (frames, cuts) => {
        expect(parse(cut(wireOf(frames), cuts))).toEqual(frames);
      }),
    );
  });

  it('refuses the connection when any bit of a frame is turned over', () => {
    const frames: Frame[] = [
      { channelId: 1, kind: frameKind.batch, payload: Uint8Array.from({ length: 40 }, (_, i) => i) },
      { channelId: 2, kind: frameKind.end, payload: new Uint8Array(0) },
    ];
    const wire = wireOf(frames);
    for (let bit = 0; bit < wire.length * 8; bit++) {
      const damaged = wire.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => parse([damaged]), `bit ${bit}`).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
    }
  });

  it('delivers whole frames only when the connection is cut at any byte', () => {
    const frames: Frame[] = [1, 2, 3].map((n) => ({
      channelId: n,
      kind: frameKind.batch,
      payload: new Uint8Array(n * 10).fill(n),
    }));
    const wire = wireOf(frames);
    const ends = [0, 34, 78, 132];
    for (let length = 0; length <= wire.length; length++) {
      const whole = ends.filter((end) => end > 0 && end <= length).length;
      const seen: Frame[] = [];
      const parser = new FrameParser(limits, {
        frame: (channelId, kind, payload) => void seen.push({ channelId, kind, payload }),
      });
      parser.push(wire.slice(0, length));
      expect(seen).toEqual(frames.slice(0, whole));
      expect(parser.atBoundary).toBe(ends.includes(length));
    }
  });

  it('throws nothing but PROTOCOL when it is fed random bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (chunks) => {
        try {
          parse(chunks);
        } catch (error) {
          expect(isEngineError(error) && error.code).toBe('PROTOCOL');
        }
      }),
    );
  });

  it('refuses a length before it allocates when a frame exceeds the limit', () => {
    const wire = wireOf([{ channelId: 0, kind: frameKind.batch, payload: new Uint8Array(1001) }]);
    expect(() => parse([wire.slice(0, frameHeaderBytes)])).toThrow(/1001 bytes came, 1000 are allowed/);
  });

  it.each([0, 11, 255, 0x201, 0x1_0001])('refuses a frame when its kind and constants make %i', (kind) => {
    const wire = wireOf([{ channelId: 0, kind: kind as FrameKind, payload: new Uint8Array(0) }]);
    expect(() => parse([wire])).toThrow(/unknown kind/);
  });

  it('refuses a frame when it is repeated or one is missing', () => {
    const frame = { channelId: 5, kind: frameKind.idle, payload: Uint8Array.of(1) };
    const wire = wireOf([frame, frame, frame]);
    const size = frameHeaderBytes + 1;
    const first = wire.slice(0, size);
    const third = wire.slice(2 * size);
    expect(() => parse([first.slice(), first.slice()])).toThrow(/frame 0 of channel 5 came where frame 1 was due/);
    expect(() => parse([first, third])).toThrow(/frame 2 of channel 5 came where frame 1 was due/);
  });

  it('refuses a channel when there are more than the limit', () => {
    const frames = Array.from({ length: 6 }, (_, channelId) => ({
      channelId,
      kind: frameKind.end,
      payload: new Uint8Array(0),
    }));
    expect(parse([wireOf(frames.slice(0, 5))])).toHaveLength(5);
    expect(() => parse([wireOf(frames)])).toThrow(/more than 4 channels/);
  });

  it('takes nothing more when it has refused once', () => {
    const seen: number[] = [];
    const parser = new FrameParser(limits, { frame: (channelId) => void seen.push(channelId) });
    expect(() => parser.push(new Uint8Array(24).fill(1))).toThrow(/damaged/);
    parser.push(wireOf([{ channelId: 0, kind: frameKind.end, payload: new Uint8Array(0) }]));
    expect(seen).toEqual([]);
  });
});

describe('frame writer', () => {
  it('leaves no trace when a frame is rolled back', () => {
    const output = new MemoryOutput();
    const writer = new FrameWriter(output);
    writer.frame(1, frameKind.idle, Uint8Array.of(0));
    writer.begin();
    output.ensure(50);
    output.position += 50;
    expect(writer.payloadBytes).toBe(50);
    writer.rollback();
    writer.frame(1, frameKind.idle, Uint8Array.of(1));
    expect(parse([output.take()]).map((frame) => frame.payload[0])).toEqual([0, 1]);
  });
});
