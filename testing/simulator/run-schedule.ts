/** Runs the schedule of one seed and says how it went. */
import { drawConfiguration, type SimulationConfiguration } from './configuration.ts';
import { Simulation } from './simulation.ts';
import type { SometimesName } from './world.ts';

export { sometimesNames } from './world.ts';

export interface ScheduleResult {
  readonly seed: number;
  readonly configuration: SimulationConfiguration;
  /** Null when every check held. */
  readonly violation: string | null;
  readonly events: number;
  readonly virtualMs: number;
  /** Equal for equal schedules: a rerun that differs is not deterministic. */
  readonly traceHash: number;
  readonly sometimes: ReadonlyMap<SometimesName, number>;
  readonly trace: readonly string[];
}

export function runSchedule(seed: number, options: { readonly traced?: boolean } = {}): ScheduleResult {
  const configuration = drawConfiguration(seed);
  const simulation = new Simulation(configuration, options.traced === true);
  const { world } = simulation;
  let violation: string | null = null;
  try {
    simulation.run();
  } catch (error) {
    // A broken assertion inside a core is a violation like any other.
    violation = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  return {
    seed,
    configuration,
    violation,
    events: world.eventCount,
    virtualMs: Math.round(world.nowMs),
    traceHash: world.traceHash,
    sometimes: world.sometimes,
    trace: world.traceLines ?? [],
  };
}
