/**
 * The order in which answers are handed on. Records and times of the input (watermark, idleness) wait together: a time is
 * due when everything before it has been handed on. `ordered` keeps the order of the input; `unordered` hands on answers as
 * they come, but none passes a time.
 *
 * @see Flink OrderedStreamElementQueue, UnorderedStreamElementQueue
 */

/** What the inputs of a subtask have come to, held back behind records. */
export interface HeldTime {
  readonly watermark: number;
  readonly idle: boolean;
}

/** A record that waits for its answer. */
export interface QueuedCall {
  readonly answered: boolean;
  /** Kept for `UnorderedQueue`: the stretch between two times that the call is in. */
  stretch: object | null;
}

export interface AnswerQueue<Call extends QueuedCall> {
  /** A record, behind all that was added before. */
  add(call: Call): void;
  /** A time, behind all that was added before; replaces a time that nothing came after. */
  addTime(time: HeldTime): void;
  /** `call` has become answered. */
  answered(call: Call): void;
  /** What is due next, without taking it. */
  readonly due: 'call' | 'time' | null;
  /** Takes the answered call that is due. */
  takeCall(): Call;
  /** Takes the time that is due. */
  takeTime(): HeldTime;
  readonly isEmpty: boolean;
}

/** First in, first out, without moving what waits at every step. */
class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  get first(): Item | undefined {
    return this.#items[this.#first];
  }

  get last(): Item | undefined {
    return this.length === 0 ? undefined : this.#items.at(-1);
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  replaceLast(item: Item): void {
    this.#items[this.#items.length - 1] = item;
  }

  shift(): Item {
    const item = this.#items[this.#first] as Item;
    this.#items[this.#first++] = undefined;
    if (this.#first >= 64 && this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}

type OrderedItem<Call> = { readonly call: Call } | { readonly time: HeldTime };

/** In the order of the input. */
export class OrderedQueue<Call extends QueuedCall> implements AnswerQueue<Call> {
  readonly #items = new Fifo<OrderedItem<Call>>();

  add(call: Call): void {
    this.#items.push({ call });
  }

  addTime(time: HeldTime): void {
    const { last } = this.#items;
    if (last !== undefined && 'time' in last) this.#items.replaceLast({ time });
    else this.#items.push({ time });
  }

  answered(_call: Call): void {}

  get due(): 'call' | 'time' | null {
    const { first } = this.#items;
    if (first === undefined) return null;
    if ('time' in first) return 'time';
    return first.call.answered ? 'call' : null;
  }

  takeCall(): Call {
    return (this.#items.shift() as { readonly call: Call }).call;
  }

  takeTime(): HeldTime {
    return (this.#items.shift() as { readonly time: HeldTime }).time;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }
}

/** Records between two times, in any order among themselves. */
class Stretch<Call> {
  readonly answered = new Fifo<Call>();
  /** Calls not taken yet. */
  open = 0;
  /** The time behind them; null while more records may come. */
  time: HeldTime | null = null;
}

/** As answered, never past a time. */
export class UnorderedQueue<Call extends QueuedCall> implements AnswerQueue<Call> {
  readonly #stretches = new Fifo<Stretch<Call>>();

  add(call: Call): void {
    const { last } = this.#stretches;
    let stretch = last;
    if (stretch === undefined || stretch.time !== null) {
      stretch = new Stretch<Call>();
      this.#stretches.push(stretch);
    }
    stretch.open++;
    call.stretch = stretch;
  }

  addTime(time: HeldTime): void {
    const { last } = this.#stretches;
    if (last !== undefined) {
      last.time = time;
      return;
    }
    const stretch = new Stretch<Call>();
    stretch.time = time;
    this.#stretches.push(stretch);
  }

  answered(call: Call): void {
    (call.stretch as Stretch<Call>).answered.push(call);
  }

  get due(): 'call' | 'time' | null {
    const { first } = this.#stretches;
    if (first === undefined) return null;
    if (first.answered.length > 0) return 'call';
    return first.open === 0 && first.time !== null ? 'time' : null;
  }

  takeCall(): Call {
    const first = this.#stretches.first as Stretch<Call>;
    const call = first.answered.shift();
    call.stretch = null;
    first.open--;
    if (first.open === 0 && first.time === null) this.#stretches.shift();
    return call;
  }

  takeTime(): HeldTime {
    return this.#stretches.shift().time as HeldTime;
  }

  get isEmpty(): boolean {
    return this.#stretches.length === 0;
  }
}
