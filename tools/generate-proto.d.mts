/** Paths and roles of the rpcs of one .proto text; throws when one declares none. */
export function methodRoles(text: string, file: string): [string, string][];
