import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceiverCredit, SenderCredit } from './credit.ts';

/** Two ledgers and the wires between them, driven in any order. */
class Link {
  readonly sender = new SenderCredit();
  readonly receiver: ReceiverCredit;
  readonly dataWire: number[] = [];
  readonly creditWire: number[] = [];
  readonly queue: number[] = [];

  constructor(windowBytes: number) {
    this.receiver = new ReceiverCredit(windowBytes);
    this.sender.open(windowBytes);
  }

  send(bytes: number): void {
    if (!this.sender.hasRoom) return;
    this.sender.spend(bytes);
    this.dataWire.push(bytes);
  }

  deliver(): void {
    const bytes = this.dataWire.shift();
    if (bytes === undefined) return;
    this.receiver.received(bytes, false);
    this.queue.push(bytes);
  }

  take(): void {
    const bytes = this.queue.shift();
    if (bytes === undefined) return;
    this.receiver.taken(bytes);
    const grant = this.receiver.takeGrant();
    if (grant > 0) this.creditWire.push(grant);
  }

  credit(): void {
    const bytes = this.creditWire.shift();
    if (bytes !== undefined) this.sender.grant(bytes);
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('send' as const), bytes: fc.integer({ min: 1, max: 3000 }) }),
  fc.record({ kind: fc.constantFrom('deliver' as const, 'take' as const, 'credit' as const) }),
);

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

describe('credit', () => {
  it('bounds queued bytes by the window and one overdraft when sends, arrivals and grants interleave', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.array(step, { maxLength: 200 }), (windowBytes, steps) => {
        const link = new Link(windowBytes);
        let largest = 0;
        for (const action of steps) {
          if (action.kind === 'send') {
            largest = Math.max(largest, action.bytes);
            link.send(action.bytes);
          } else link[action.kind]();
          expect(link.receiver.queuedBytes).toBe(sum(link.queue));
          expect(link.receiver.queuedBytes + sum(link.dataWire)).toBeLessThan(windowBytes + Math.max(largest, 1));
          expect(link.sender.available).toBe(
            link.receiver.outstandingBytes + sum(link.dataWire) * -1 - sum(link.creditWire),
          );
        }
      }),
    );
  });

  it('gives the sender room again when everything was delivered and taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.array(step, { maxLength: 100 }), (windowBytes, steps) => {
        const link = new Link(windowBytes);
        for (const action of steps) {
          if (action.kind === 'send') link.send(action.bytes);
          else link[action.kind]();
        }
        while (link.dataWire.length > 0) link.deliver();
        while (link.queue.length > 0) link.take();
        while (link.creditWire.length > 0) link.credit();
        expect(link.sender.hasRoom).toBe(true);
      }),
    );
  });

  it('lets one batch overdraw and then waits when a batch is larger than the window', () => {
    const link = new Link(100);
    link.send(5000);
    expect(link.sender.available).toBe(-4900);
    expect(link.sender.hasRoom).toBe(false);
    expect(() => link.sender.spend(1)).toThrow(/without credit/);
    link.deliver();
    link.take();
    link.credit();
    expect(link.sender.available).toBe(100);
  });

  it('counts several frames of one batch as one overdraft when it comes in parts', () => {
    const receiver = new ReceiverCredit(100);
    receiver.received(90, false);
    receiver.received(90, false);
    receiver.received(90, true);
    expect(() => receiver.received(1, false)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
    expect(receiver.queuedBytes).toBe(270);
  });

  it('refuses a grant when it exceeds what was sent', () => {
    const sender = new SenderCredit();
    sender.open(100);
    sender.spend(30);
    expect(() => sender.grant(31)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
    expect(() => sender.grant(0)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
    sender.grant(30);
    expect(sender.available).toBe(100);
  });
});
