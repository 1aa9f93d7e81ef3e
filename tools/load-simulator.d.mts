import type { PlantedBug } from '../testing/simulator/planted-bugs.ts';
import type * as leadership from '../testing/simulator/leadership-simulation.ts';
import type * as simulator from '../testing/simulator/run-schedule.ts';

/** The module `run-schedule.ts`, bundled from source with the patch applied. @throws when the patch does not fit */
export function loadSimulator(patch?: PlantedBug | null): Promise<typeof simulator>;

/** The same for `leadership-simulation.ts`. */
export function loadLeadershipSimulator(patch?: PlantedBug | null): Promise<typeof leadership>;
