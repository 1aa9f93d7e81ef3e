/**
 * Public entry `millrace/testing`: jobs and operators under virtual time, in any test runner.
 */
export {
  advanceTime,
  at,
  checkpoint,
  crash,
  generated,
  type GeneratedOptions,
  type InputElement,
  type JobInput,
  pause,
  splits,
  watermark,
} from './inputs.ts';
export type { CapturedRecord } from './capture-sink.ts';
export type { JobParameters } from './job-parts.ts';
export { type JobTestResult, runJob, type RunJobOptions } from './run-job.ts';
export {
  type OperatorSnapshot,
  type OperatorTest,
  type PendingTimer,
  type PushOptions,
  testOperator,
  type TestOperatorOptions,
} from './test-operator.ts';
export {
  assertDeterministic,
  formatSimulation,
  type OutsideCall,
  simulateJob,
  type SimulateJobOptions,
  type SimulationFaults,
  type SimulationResult,
  type SimulationViolation,
} from './simulation/simulate-job.ts';
export type { DivergenceCause } from './simulation/diagnosis.ts';
export type { OutputDifference, SinkComparison } from './simulation/output-difference.ts';
export type { OutsideKind } from './simulation/outside-calls.ts';
export type { SimulationSchedule } from './simulation/simulated-run.ts';
export {
  type ClusterRunOptions,
  miniCluster,
  type MiniCluster,
  type MiniClusterOptions,
} from './cluster/mini-cluster.ts';
export type { ClusterExecution, ClusterProgress, ClusterResult } from './cluster/cluster-execution.ts';
