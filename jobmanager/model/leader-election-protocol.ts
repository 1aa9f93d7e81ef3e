/** What goes into a leader election and what comes out: events and actions as plain data. */

/** The leader's key as etcd has it. */
export interface LeaderKey {
  /** Where the leader is reached. */
  readonly address: string;
  /** Of its process: unique for each start, so two processes with one address are told apart. */
  readonly id: string;
  /** The epoch of this leader. */
  readonly createRevision: number;
  readonly leaseId: string;
}

export interface LeaderElectionOptions {
  /** Unique for this start of the process. */
  readonly id: string;
  readonly address: string;
  /** After this silence etcd drops the leader's key. Whole seconds, at least 2: etcd grants no less. */
  readonly leaseTtlMs: number;
  /**
   * How much earlier the leader stops by itself: room for clocks that run at other speeds and for the time it takes to stop.
   */
  readonly marginMs: number;
  /** Pause after a failure, half to one and a half of it by chance. */
  readonly retryMs: number;
  /** The key is read this often, beside being watched: a watch may die without a word. */
  readonly pollMs: number;
}

export const leaderElectionDefaults = { leaseTtlMs: 5_000, marginMs: 1_000, retryMs: 500, pollMs: 1_000 };

export interface LeaderElectionEnvironment {
  /** Monotonic: never set, never back. On Linux it stands still while the machine sleeps; writes stay safe by their guard. */
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: number;
}

/** Answers carry the number of their request; one that is not awaited any more means nothing. */
export type LeaderElectionEvent =
  | { readonly kind: 'started' }
  /** The time asked for by `wake-at` has come. Harmless at any other time. */
  | { readonly kind: 'tick' }
  | { readonly kind: 'lease-granted'; readonly request: number; readonly leaseId: string; readonly ttlMs: number }
  | { readonly kind: 'lease-failed'; readonly request: number; readonly reason: string }
  | { readonly kind: 'lease-revoked'; readonly request: number }
  /** `leader` is what the key holds now: ours when `won`. */
  | {
      readonly kind: 'campaign-answered';
      readonly request: number;
      readonly won: boolean;
      readonly revision: number;
      readonly leader: LeaderKey | null;
    }
  /** The key may have been made or not. */
  | { readonly kind: 'campaign-failed'; readonly request: number; readonly reason: string }
  | {
      readonly kind: 'leader-read';
      readonly request: number;
      readonly revision: number;
      readonly leader: LeaderKey | null;
    }
  | { readonly kind: 'leader-read-failed'; readonly request: number; readonly reason: string }
  /** `ttlMs` 0: the lease is gone. */
  | { readonly kind: 'keepalive-answered'; readonly request: number; readonly ttlMs: number }
  | { readonly kind: 'keepalive-failed'; readonly request: number; readonly reason: string }
  | {
      readonly kind: 'leader-changed';
      readonly watch: number;
      readonly revision: number;
      readonly leader: LeaderKey | null;
    }
  | { readonly kind: 'watch-ended'; readonly watch: number }
  /** Whatever was done as leader has ended. */
  | { readonly kind: 'stepped-down' }
  | { readonly kind: 'resign-requested' };

export type LeaderElectionAction =
  | { readonly kind: 'wake-at'; readonly atMs: number }
  | { readonly kind: 'grant-lease'; readonly request: number; readonly ttlMs: number }
  | { readonly kind: 'revoke-lease'; readonly request: number; readonly leaseId: string }
  /** One transaction: makes the key with this lease if it does not exist, else reads it. */
  | { readonly kind: 'campaign'; readonly request: number; readonly leaseId: string }
  | { readonly kind: 'read-leader'; readonly request: number }
  | { readonly kind: 'keep-alive'; readonly request: number; readonly leaseId: string }
  /** A watch from before is stopped. */
  | { readonly kind: 'watch-leader'; readonly watch: number; readonly fromRevision: number }
  | { readonly kind: 'become-leader'; readonly epoch: number }
  /** Answered by `stepped-down`; until then nothing new is tried. */
  | { readonly kind: 'lose-leadership'; readonly epoch: number; readonly reason: string }
  /** For the log: a try that came to nothing. */
  | { readonly kind: 'report-failure'; readonly reason: string }
  /** The last action of all. */
  | { readonly kind: 'resigned' };
