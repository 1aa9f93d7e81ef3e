/** Where the objects of a job are, below the root of a store: `<directory>/state/…`, `<directory>/manifests/…`, `<directory>/submissions/…`. */

/** A job's name as one plain segment of a path: whatever could mean something else is escaped. */
export function jobDirectoryName(jobName: string): string {
  return encodeURIComponent(jobName).replace(/[.*~'()!]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
