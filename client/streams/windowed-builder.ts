/** What `window` and `windowAll` return: collects the settings of the windows, then adds the node that runs them. */
import type { AggregateSet } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key, KeySelector, ReduceFunction } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { WindowEvictor, WindowFunction, WindowInfo, WindowTrigger } from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { addNode, type BuildSite, type NodeParts } from './build-site.ts';
import { checkFunction } from './checks.ts';
import {
  checkEvictor,
  checkTrigger,
  isIncremental,
  planWindow,
  trailingFunction,
  type WindowBody,
  type WindowSettings,
} from './general-windows.ts';
import type { RecordType } from './tags.ts';
import { checkLateness, gapFunction } from './window-checks.ts';
import type { WindowedStream, WindowResult, WindowStream } from './window-types.ts';
import { checkWindow, windowConfig } from './windows.ts';

/** The key of all records of `windowAll`. */
const oneKey = (): 0 => 0;

export function windowedStream<T, K extends Key>(
  site: BuildSite,
  keyOf: KeySelector<T, K>,
  window: WindowDefinition<T>,
): WindowedStream<T, K> {
  return new Windowed(site, keyOf, settingsOf(window), null);
}

/** Windows over all records: one key, so one subtask. */
export function windowedAllStream<T>(site: BuildSite, window: WindowDefinition<T>): WindowedStream<T, 0> {
  return new Windowed<T, 0>(site, oneKey, settingsOf(window), 1);
}

function settingsOf<T>(window: WindowDefinition<T>): WindowSettings {
  const checked = checkWindow(window) as WindowDefinition<never>;
  return { window: checked, allowedLatenessMs: 0, trigger: null, evictor: null };
}

class Windowed<T, K extends Key> implements WindowedStream<T, K> {
  readonly #site: BuildSite;
  readonly #keyOf: KeySelector<T, K>;
  readonly #settings: WindowSettings;
  /** Of the operator to be made; null: the job's. */
  readonly #parallelism: number | null;

  constructor(site: BuildSite, keyOf: KeySelector<T, K>, settings: WindowSettings, parallelism: number | null) {
    this.#site = site;
    this.#keyOf = keyOf;
    this.#settings = settings;
    this.#parallelism = parallelism;
  }

  allowedLateness(duration: number): WindowedStream<T, K> {
    return this.#with({ allowedLatenessMs: checkLateness(this.#settings.window, duration) });
  }

  trigger<D extends StateDeclarations>(trigger: WindowTrigger<T, D>): WindowedStream<T, K> {
    return this.#with({ trigger: checkTrigger(trigger) as unknown as WindowTrigger<never> });
  }

  evictor(evictor: WindowEvictor<T>): WindowedStream<T, K> {
    return this.#with({ evictor: checkEvictor(evictor) as unknown as WindowEvictor<never> });
  }

  reduce<Out>(
    reduce: ReduceFunction<T>,
    first?: RecordType<Out> | ((value: Readonly<T>, context: WindowInfo<K>) => Out),
    second?: unknown,
  ): WindowStream<Out, T> {
    const erased = checkFunction(reduce, 'reduce') as unknown as ReduceFunction<never>;
    return this.#operator({ reduce: erased, ...trailingFunction('reduce', first, second) });
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>, Out = WindowResult<K, Set>>(
    aggregates: Set,
    first?: RecordType<Out> | ((results: WindowResult<K, Set>, context: WindowInfo<K>) => Out),
    second?: unknown,
  ): WindowStream<Out, T> {
    const body: WindowBody = { aggregates, ...trailingFunction('aggregate', first, second) };
    if (!isIncremental(this.#settings, body)) return this.#operator(body);
    const config = {
      window: windowConfig(this.#settings.window),
      allowedLatenessMs: this.#settings.allowedLatenessMs,
      aggregates: aggregatesConfig(aggregates, ['key', 'windowStart', 'windowEnd']),
    };
    const gap = gapFunction(this.#settings.window);
    return this.#add({ functions: { kind: 'window-aggregate', keyOf: this.#keyOf, aggregates, ...gap }, config });
  }

  process<Out>(
    first: RecordType<Out> | WindowFunction<never, never, unknown, StateDeclarations, StateDeclarations>,
    second?: unknown,
  ): WindowStream<Out, T> {
    if (typeof first === 'function')
      throw new EngineError('JOB_INVALID', 'process(...) needs an object with onWindow(records, context)');
    return this.#operator(trailingFunction('process(...)', first ?? null, second));
  }

  #with(settings: Partial<WindowSettings>): WindowedStream<T, K> {
    return new Windowed(this.#site, this.#keyOf, { ...this.#settings, ...settings }, this.#parallelism);
  }

  #operator<Out>(body: WindowBody): WindowStream<Out, T> {
    return this.#add(planWindow(this.#keyOf, this.#settings, body));
  }

  #add<Out>(parts: NodeParts): WindowStream<Out, T> {
    const node = addNode(this.#site, parts);
    node.parallelism = this.#parallelism;
    return this.#site.streamOf<Out, T, never>(node);
  }
}
