/**
 * Which job manager leads, as the rest of a job manager sees it. With etcd it is elected (`etcd/etcd-election.ts`); without,
 * there is one, which owns its directory (`local-leadership.ts`).
 */

export interface Leader {
  /** Where it is reached. */
  readonly address: string;
  readonly epoch: number;
  /** This process leads. To be asked before acting: it turns false by the clock alone. */
  readonly isSelf: boolean;
}

export interface LeadershipCallbacks {
  /** This process leads from now on, in this epoch. */
  onLeader(epoch: number): void;
  /**
   * It leads no more: whatever it did as leader must end. It does not try to lead again before the promise resolves; a
   * rejection ends its tries for good.
   */
  onLost(reason: string): void | Promise<void>;
}

export interface Leadership {
  /** Starts trying to lead. Once. @throws EngineError when it never can */
  start(callbacks: LeadershipCallbacks): Promise<void>;
  /** The leader as far as known here; null when none is known. */
  current(): Leader | null;
  /** Gives up the lead, after `onLost`, and ends. More than once is allowed. */
  resign(): Promise<void>;
}
