/**
 * Decides when a peer is lost: its connection broke and a new one is refused, or none stood within the deadline. A peer that
 * is slow, restarts its network, or drops one connection is not lost. Pure: events in, actions out.
 *
 *     new --opened--> connecting --ready--> ready --broken--> connecting
 *                     connecting --refused | deadline--> lost
 */
import { assertNever } from '../../../core/errors.ts';
import { connectDeadlineMs, reconnectMaxMs } from './limits.ts';

export interface ConnectionState {
  readonly phase: 'new' | 'connecting' | 'ready' | 'lost' | 'closed';
  /** Counts the tries to connect: timers and probes of an earlier one are not listened to. */
  readonly generation: number;
  readonly probing: boolean;
}

export const newConnection: ConnectionState = { phase: 'new', generation: 0, probing: false };

export type ConnectionEvent =
  | { readonly kind: 'opened' }
  /** A connection stands: the other process has spoken, not only its kernel. */
  | { readonly kind: 'ready' }
  /** The connection that stood is gone. */
  | { readonly kind: 'broken' }
  /** A try to connect has failed, for whatever reason. */
  | { readonly kind: 'attempt-failed' }
  | {
      readonly kind: 'probed';
      readonly generation: number;
      /** `refused`: the machine answers that nobody listens. */
      readonly result: 'reachable' | 'refused' | 'unreachable';
    }
  | { readonly kind: 'pause-over'; readonly generation: number }
  | { readonly kind: 'deadline-passed'; readonly generation: number }
  | { readonly kind: 'closed' };

export type ConnectionAction =
  /** Ask the channel for a connection. */
  | { readonly kind: 'connect' }
  /** Find out by a bare connection whether somebody listens. */
  | { readonly kind: 'probe'; readonly generation: number }
  | { readonly kind: 'pause'; readonly generation: number; readonly delayMs: number }
  | { readonly kind: 'set-deadline'; readonly generation: number; readonly delayMs: number }
  | { readonly kind: 'clear-timers' }
  | { readonly kind: 'lost'; readonly reason: string };

export interface ConnectionStep {
  readonly state: ConnectionState;
  readonly actions: readonly ConnectionAction[];
}

export function stepConnection(state: ConnectionState, event: ConnectionEvent): ConnectionStep {
  const { phase, generation, probing } = state;
  const unchanged: ConnectionStep = { state, actions: [] };
  if (phase === 'lost' || phase === 'closed') return unchanged;
  if (event.kind === 'closed') return end(state, 'closed', []);
  // Of an earlier try.
  if ('generation' in event && (event.generation !== generation || phase !== 'connecting')) return unchanged;
  switch (event.kind) {
    case 'opened':
      return phase === 'new' ? beginConnecting(state, false) : unchanged;
    case 'ready':
      if (phase !== 'connecting') return unchanged;
      return { state: { phase: 'ready', generation, probing: false }, actions: [{ kind: 'clear-timers' }] };
    case 'broken':
      return phase === 'ready' ? beginConnecting(state, true) : unchanged;
    case 'attempt-failed':
      if (phase !== 'connecting' || probing) return unchanged;
      return { state: { ...state, probing: true }, actions: [{ kind: 'probe', generation }] };
    case 'probed':
      if (event.result === 'refused') return end(state, 'lost', [lostBecause('refuses connections')]);
      return { state, actions: [{ kind: 'pause', generation, delayMs: reconnectMaxMs }] };
    case 'pause-over':
      return { state, actions: [{ kind: 'connect' }, { kind: 'probe', generation }] };
    case 'deadline-passed':
      return end(state, 'lost', [lostBecause(`made no connection within ${connectDeadlineMs} ms`)]);
    default:
      return assertNever(event, 'connection event');
  }
}

function lostBecause(reason: string): ConnectionAction {
  return { kind: 'lost', reason };
}

function beginConnecting(state: ConnectionState, probe: boolean): ConnectionStep {
  const generation = state.generation + 1;
  const actions: ConnectionAction[] = [
    { kind: 'set-deadline', generation, delayMs: connectDeadlineMs },
    { kind: 'connect' },
  ];
  if (probe) actions.push({ kind: 'probe', generation });
  return { state: { phase: 'connecting', generation, probing: probe }, actions };
}

function end(state: ConnectionState, phase: 'lost' | 'closed', more: readonly ConnectionAction[]): ConnectionStep {
  return { state: { ...state, phase, probing: false }, actions: [{ kind: 'clear-timers' }, ...more] };
}
