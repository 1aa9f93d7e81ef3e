/**
 * Branded identifiers. A plain number or string cannot be passed where an id is meant; the brand exists only for the
 * type checker and costs nothing at run time.
 */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Stable name of an operator across submissions of one job ("uid" to the user). */
export type OperatorId = Brand<string, 'OperatorId'>;
/** Name of a vertex of the job graph: the operator id of the head of its chain. */
export type VertexId = Brand<string, 'VertexId'>;
/** Index of an edge in the job graph, `0 .. edges.length - 1`. */
export type EdgeIndex = Brand<number, 'EdgeIndex'>;
/** Id of a checkpoint of one job; grows by at least one, never reused. */
export type CheckpointId = Brand<number, 'CheckpointId'>;
/** One try at running a region of a job; grows, never reused. */
export type Attempt = Brand<number, 'Attempt'>;
/** A key group in `[0, maxParallelism)`. */
export type KeyGroup = Brand<number, 'KeyGroup'>;
/** Index of a task slot within an attempt, `0 .. slotCount - 1`, unique over all task managers. */
export type SlotIndex = Brand<number, 'SlotIndex'>;

export const operatorId = (value: string): OperatorId => value as OperatorId;
export const vertexId = (value: string): VertexId => value as VertexId;
export const edgeIndex = (value: number): EdgeIndex => value as EdgeIndex;
export const checkpointId = (value: number): CheckpointId => value as CheckpointId;
export const attemptNumber = (value: number): Attempt => value as Attempt;
export const keyGroup = (value: number): KeyGroup => value as KeyGroup;
export const slotIndex = (value: number): SlotIndex => value as SlotIndex;

/** What the operator id of a sink's committer has after that of its writer. */
export const committerSuffix = '-committer';
