/** What `broadcastInput` returns: a node that reads the main stream on input 0 and all of the side on input 1. */
import type { SideFlatMapFunction, UserFunction } from '../../core/operators.ts';
import type { StreamEnd } from '../plan/logical-graph.ts';
import { addStream, type BuildSite } from './build-site.ts';
import { checkUserFunction } from './checks.ts';
import { type SideMap, sideFilter, sideMap } from './side-functions.ts';
import type { SideInputStream } from './side-input-types.ts';
import type { OperatorStream } from './stream-types.ts';

/** The main stream of the site beside `side`. */
export function sideInput<T, S, Side>(
  site: BuildSite,
  side: readonly StreamEnd[],
  build: (records: readonly S[]) => Side,
): SideInputStream<T, Side> {
  return new SideInput({ ...site, second: broadcastEnds(side) }, build as (records: readonly never[]) => unknown);
}

/** Every subtask reads all of a side, however its stream was to be spread. */
function broadcastEnds(ends: readonly StreamEnd[]): StreamEnd[] {
  return ends.map(({ node, tag }) => ({ node, tag, partitioner: 'broadcast' }));
}

class SideInput<T, Side> implements SideInputStream<T, Side> {
  readonly #site: BuildSite;
  readonly #build: (records: readonly never[]) => unknown;

  constructor(site: BuildSite, build: (records: readonly never[]) => unknown) {
    this.#site = site;
    this.#build = build;
  }

  map<Out>(map: UserFunction<SideMap<T, Side, Out>>): OperatorStream<Out> {
    return this.#operator(sideMap(checkUserFunction(map, 'broadcastInput(...).map')));
  }

  filter(predicate: UserFunction<SideMap<T, Side, boolean>>): OperatorStream<T> {
    return this.#operator(sideFilter(checkUserFunction(predicate, 'broadcastInput(...).filter')));
  }

  flatMap<Out>(flatMap: UserFunction<SideMap<T, Side, Iterable<Out>>>): OperatorStream<Out> {
    return this.#operator(checkUserFunction(flatMap, 'broadcastInput(...).flatMap'));
  }

  #operator<Out>(call: UserFunction<SideMap<T, Side, Iterable<Out>>>): OperatorStream<Out> {
    const flatMap = call as UserFunction<SideFlatMapFunction>;
    return addStream<Out, T>(this.#site, {
      functions: { kind: 'broadcast-input', build: this.#build, flatMap },
      config: {},
    });
  }
}
