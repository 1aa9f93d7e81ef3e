/**
 * Finds the job manager that leads among those that are known: which one to ask next, when to wait for an election, and
 * when to give up. Pure: outcomes of asking go in, what to do comes out. One search for each request of a client.
 */

/** How asking one job manager ended, when it did not end the request. */
export type AskOutcome =
  /** It does not lead. `leader`: who does, as far as it knows. */
  | { readonly kind: 'not-leader'; readonly address: string; readonly leader: string | null }
  /** It could not be asked. */
  | { readonly kind: 'failed'; readonly address: string; readonly reason: string };

export type SearchStep =
  | { readonly kind: 'ask'; readonly address: string }
  /** Nobody leads at the moment: ask all again after a pause. */
  | { readonly kind: 'pause'; readonly delayMs: number }
  /** `reasons`: one for each address. */
  | { readonly kind: 'give-up'; readonly reasons: ReadonlyMap<string, string> };

/** Pauses between rounds: an election takes seconds. */
const pauseFirstMs = 100;
const pauseMaxMs = 1_000;

export class LeaderSearch {
  readonly #known: readonly string[];
  readonly #patienceMs: number;
  readonly #reasons = new Map<string, string>();
  #asked = new Set<string>();
  #next: string | null;
  /** In this round: somebody is there, so the cluster is, and an election may be under way. */
  #someoneAnswered = false;
  #delayMs = pauseFirstMs;

  /**
   * @param known      addresses of job managers, not empty, in the order in which they are asked
   * @param preferred  who led at last, asked first; null: not known
   * @param patienceMs how long a cluster without a leader is waited for
   */
  constructor(known: readonly string[], preferred: string | null, patienceMs: number) {
    this.#known = known;
    this.#next = preferred ?? known[0] ?? null;
    this.#patienceMs = patienceMs;
  }

  /** The first step. */
  begin(): SearchStep {
    return this.#askNext(0);
  }

  /** The step after a pause. */
  pauseOver(): SearchStep {
    this.#asked = new Set();
    this.#someoneAnswered = false;
    this.#next = this.#known[0] ?? null;
    return this.#askNext(0);
  }

  /** @param elapsedMs since the request began */
  outcome(outcome: AskOutcome, elapsedMs: number): SearchStep {
    this.#next = null;
    if (outcome.kind === 'failed') {
      this.#reasons.set(outcome.address, outcome.reason);
      return this.#askNext(elapsedMs);
    }
    this.#someoneAnswered = true;
    const { address, leader } = outcome;
    this.#reasons.set(
      address,
      leader === null ? 'does not lead and knows nobody who does' : `says that ${leader} leads`,
    );
    if (leader !== null) this.#next = leader;
    return this.#askNext(elapsedMs);
  }

  #askNext(elapsedMs: number): SearchStep {
    const candidates = this.#next === null ? this.#known : [this.#next, ...this.#known];
    const address = candidates.find((candidate) => !this.#asked.has(candidate));
    if (address !== undefined) {
      this.#asked.add(address);
      return { kind: 'ask', address };
    }
    // When nobody is there at all, waiting for an election is in vain.
    if (!this.#someoneAnswered || elapsedMs >= this.#patienceMs) return { kind: 'give-up', reasons: this.#reasons };
    const delayMs = Math.min(this.#delayMs, this.#patienceMs - elapsedMs);
    this.#delayMs = Math.min(this.#delayMs * 2, pauseMaxMs);
    return { kind: 'pause', delayMs };
  }
}
