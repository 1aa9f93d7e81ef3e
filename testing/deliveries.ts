/** What `collect` channels delivered, by channel; a repeated id is dropped, as the client does. */
export class Deliveries {
  readonly channels = new Map<string, unknown[]>();
  readonly #seen = new Set<string>();

  readonly take = (channel: string, id: string, values: readonly unknown[]): void => {
    if (this.#seen.has(`${channel} ${id}`)) return;
    this.#seen.add(`${channel} ${id}`);
    this.channels.set(channel, [...(this.channels.get(channel) ?? []), ...values]);
  };
}

/** Values in a form and an order that two runs share. */
export const canonical = (values: readonly unknown[] | undefined): string[] =>
  (values ?? []).map((value) => JSON.stringify(value)).sort();
